"""The report for sign-off: Allure results that agree exactly with the verdict, rendered to one file.

allure-pytest writes one result per test. `attach` turns them into one result per criterion, with the verdict's
state, reason and evidence; a criterion whose test never ran gets one too. Allure presents; it never judges.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from gaia_checks.judge.judgement import outcome_name
from gaia_checks.model import STAGES, CriterionVerdict, Measurement, State, Verdict
from gaia_checks.report import charts, decision, evidence, gate_chart, history_section, page, words
from gaia_checks.report.earlier_gates import History
from gaia_checks.report.render import render

__all__ = ["attach", "render"]

_STATUS = {
    State.PASS: "passed", State.FAIL: "failed", State.INCONCLUSIVE: "broken", State.NOT_APPLICABLE: "skipped",
}  # fmt: skip
_NAMESPACE = uuid.UUID(
    "9a1f6a4e-6c0b-4c4e-9a53-6d2f3f0f7a11"
)  # of the report's identifiers, so that they are reproducible
_SUFFIXES = {"image/svg+xml": "svg", "text/markdown": "md", "text/plain": "txt"}
_RUN_FILES = {"verdict.md": "text/markdown", "environment.toml": "text/plain"}

Result = dict[str, Any]


def attach(folder: Path, verdict: Verdict, history: History) -> None:
    """Rewrite `allure-results/` to show the verdict: one result per criterion, the facts of the run, the history."""
    results = folder / evidence.RESULTS
    results.mkdir(exist_ok=True)
    measurements = evidence.read_measurements(folder)
    tests, written = _tests(measurements), _take_results(results)
    pictures = charts.draw(folder / "timelines")
    for order, criterion in enumerate(verdict.criteria):
        result = written.get(tests.get(criterion.id, "")) or written.get(
            criterion.id, {}
        )  # the test's, or that of an earlier call
        enriched = {
            **_enriched(result, criterion, verdict, order),
            "attachments": [
                *_attachments(results, criterion, measurements, pictures),
                *(each for each in result.get("attachments", ()) if not _replaced(each["name"], criterion)),
            ],
        }
        _write(results / f"{enriched['uuid']}-result.json", enriched)
    _describe_run(folder, results, verdict)
    _write_decision(folder, verdict, measurements, history)


def _attachments(
    results: Path,
    criterion: CriterionVerdict,
    measurements: Sequence[Measurement],
    pictures: Mapping[str, Mapping[str, str]],
) -> Iterator[dict[str, str]]:
    """Write and yield the evidence of one criterion: its measurements, and the charts of its looks."""
    names = {check.measurement for check in criterion.checks}
    own = [measurement for measurement in measurements if measurement.name in names]
    yield _attachment(results, f"{criterion.id} evidence", "text/plain", page.evidence(criterion, own))
    for look in sorted({name.partition(".")[0] for name in names}):
        for title, svg in pictures.get(look, {}).items():
            yield _attachment(results, f"{criterion.id} {title}", "image/svg+xml", svg)


def _write_decision(folder: Path, verdict: Verdict, measurements: Sequence[Measurement], history: History) -> None:
    """Write the report's first page among the results, so that it is redacted before it is rendered, as they are."""
    pictures = folder / evidence.PICTURES
    paths = [path.relative_to(pictures).as_posix() for path in sorted(pictures.rglob("*.jpg"))]
    chart = gate_chart.draw(folder, verdict, measurements)
    criteria = evidence.criteria_of(folder).criteria
    text = decision.document(verdict, criteria, chart, history_section.section(history, criteria), paths)
    (folder / evidence.RESULTS / evidence.DECISION).write_text(text, encoding="utf-8")


def _replaced(name: str, criterion: CriterionVerdict) -> bool:
    """Whether an attachment is an earlier version of one that is rewritten."""
    return name == "evidence" or name.startswith(f"{criterion.id} ")


def _take_results(results: Path) -> dict[str, Result]:
    """Return full name -> newest result, and remove their files: they are rewritten with the verdict."""
    found: dict[str, Result] = {}
    for path in results.glob("*-result.json"):
        result = json.loads(path.read_text(encoding="utf-8"))
        path.unlink()
        name = result.get("fullName", "")
        if name not in found or found[name].get("start", 0) < result.get("start", 0):
            found[name] = result
    return found


def _tests(measurements: Iterable[Measurement]) -> dict[str, str]:
    """Return criterion -> full name of its test, as the gate recorded it."""
    prefix = outcome_name("")
    return {
        each.name.removeprefix(prefix): _full_name(each.how) for each in measurements if each.name.startswith(prefix)
    }


def _full_name(nodeid: str) -> str:
    """`suites/test_api.py::test_admin_api` -> `suites.test_api#test_admin_api`."""
    path, _, test = nodeid.partition("::")
    return f"{path.removesuffix('.py').replace('/', '.')}#{test}"


def _enriched(result: Result, criterion: CriterionVerdict, verdict: Verdict, order: int) -> Result:
    """Return a result with the state, reason and numbers of the verdict. Pure."""
    start_ms = int(datetime.fromisoformat(verdict.started_at).timestamp() * 1000) + order
    identity = str(uuid.uuid5(_NAMESPACE, criterion.id))
    stage = criterion.id.partition(".")[0]
    numbers = zip(("measured", "bound", "threshold", "n"), words.columns(criterion), strict=True)
    return {
        "uuid": str(uuid.uuid5(_NAMESPACE, f"{verdict.run} {criterion.id}")),
        "historyId": identity,
        "testCaseId": identity,
        "fullName": criterion.id,
        "name": f"{criterion.claim} ({criterion.id})",
        "status": _STATUS[criterion.state],
        "statusDetails": {} if criterion.state is State.PASS else {"message": page.reason(criterion)},
        "stage": "finished",
        "description": page.description(criterion),
        "parameters": [{"name": name, "value": value} for name, value in numbers],
        "titlePath": [f"Stage {STAGES.index(stage) + 1}: {stage}"],  # the report is grouped by it
        "start": start_ms,  # Allure sorts by it: all start with the gate, in the order of the criteria,
        "stop": max(
            start_ms, result.get("stop", 0)
        ),  # and last until their tests end, so the report's duration is the gate's
    }


def _describe_run(folder: Path, results: Path, verdict: Verdict) -> None:
    """Write the facts, name and files of the whole run."""
    facts = "".join(f"{name} = {value}\n" for name, value in _facts(verdict).items())
    (results / "environment.properties").write_text(facts, encoding="utf-8")
    executor = {"name": "gaia gate", "type": "local", "buildName": verdict.run, "reportName": page.summary(verdict)}
    _write(results / "executor.json", executor)
    attachments = [
        _attachment(results, name, media, (folder / name).read_text(encoding="utf-8"))
        for name, media in _RUN_FILES.items()
        if (folder / name).exists()
    ]
    _write(results / f"{verdict.run}-globals.json", {"attachments": attachments, "errors": []})


def _facts(verdict: Verdict) -> Mapping[str, str]:
    release = verdict.release
    return {
        "verdict": verdict.state.upper(),
        "environment": verdict.environment,
        "stage": verdict.stage,
        "rehearsal": "yes, promotes nothing" if verdict.rehearsal else "no",
        "phase": release.phase if release else "unknown",
        "commit": (release.commit or "none") if release else "unknown",
        "sha256": release.sha256 if release else "unknown",
        "run": verdict.run,
        "started": verdict.started_at,
        "took": words.duration(verdict.duration_s),
        **dict(remark.split(": ", 1) for remark in verdict.remarks),
    }


def _attachment(results: Path, name: str, media: str, content: str) -> dict[str, str]:
    """Write an attachment and return the reference to it; the chart of several criteria is one file."""
    source = f"{uuid.uuid5(_NAMESPACE, content)}-attachment.{_SUFFIXES[media]}"
    (results / source).write_text(content, encoding="utf-8")
    return {"name": name, "source": source, "type": media}


def _write(path: Path, value: Mapping[str, Any] | Iterable[Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
