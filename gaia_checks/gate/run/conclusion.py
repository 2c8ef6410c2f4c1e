"""How a gate concludes on disk: the verdict first, sealed; then the report, which presents it and takes nothing back.

The report is rendered by a program of others, which may fail, hang or fill the disk.
"""

import contextlib
from pathlib import Path

from gaia_checks.environment.environment import Environment
from gaia_checks.errors import EvidenceError, GaiaError
from gaia_checks.load.views import chart
from gaia_checks.model import Log, Verdict
from gaia_checks.report import allure, earlier_gates, evidence, page
from gaia_checks.report.earlier_gates import History


def write(folder: Path, verdict: Verdict, environment: Environment, log: Log) -> None:
    """Write and seal the verdict in `folder`, then its report. Raises OSError when the verdict cannot be written.

    Whatever prevents the report, Ctrl-C included, is logged in one line; the verdict stands.
    """
    shown = evidence.redacted(verdict, environment)
    history = earlier_gates.read(folder, shown)
    (folder / evidence.SUMMARY).write_text(page.markdown(shown, history.passed_last()), encoding="utf-8")
    evidence.seal(folder, verdict, environment)
    try:
        _write_report(folder, shown, history, environment, log)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the verdict is sealed: no report takes it back
        (folder / evidence.REPORT).unlink(missing_ok=True)
        why = environment.redact(" ".join(str(error).split()) or type(error).__name__)
        log(f"no report: {why}; the verdict stands, in {evidence.VERDICT} and {evidence.SUMMARY}")
    _seal_again(folder, verdict, environment, log)


def _write_report(folder: Path, shown: Verdict, history: History, environment: Environment, log: Log) -> None:
    with contextlib.suppress(EvidenceError):  # there was no load, or it was stopped in its first second
        chart.write(folder)
    allure.attach(folder, shown, history)
    evidence.redact(folder, environment)
    try:
        allure.render(folder)
    except GaiaError as error:
        why = environment.redact(str(error))
        allure.render_decision(folder, why)
        log(f"{evidence.REPORT} shows the decision without the tests: {why}")


def _seal_again(folder: Path, verdict: Verdict, environment: Environment, log: Log) -> None:
    """Seal what the report added."""
    try:
        evidence.seal(folder, verdict, environment)
    except OSError as error:
        why = environment.redact(f"{folder}: {error.strerror or error}")
        log(f"the report is not sealed, so this evidence promotes nothing: {why}; free some space and gate again")
