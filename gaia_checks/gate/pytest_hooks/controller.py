"""The hooks of the process that controls a gate, and the entry point of its xdist workers."""

import signal
from collections.abc import Generator
from typing import Any

import pytest

from gaia_checks.environment.environment import Environment
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import ConfigurationError, GaiaError
from gaia_checks.gate.display import last_line
from gaia_checks.gate.display.terminal import Terminal
from gaia_checks.gate.display.verdict_view import short
from gaia_checks.gate.pytest_hooks import copies, exit_code, invocation
from gaia_checks.gate.pytest_hooks.copies import Copies
from gaia_checks.gate.pytest_hooks.exit_code import ExitCode
from gaia_checks.gate.pytest_hooks.items import Items
from gaia_checks.gate.run.look import FAILED, Gate
from gaia_checks.gate.run.session import EXIT_CODES, Session
from gaia_checks.judge.judgement import UNDECIDED
from gaia_checks.model import STAGES, State, Verdict
from gaia_checks.promotion import record
from gaia_checks.promotion.statements import installation
from gaia_checks.report import evidence


def join(config: pytest.Config, record: dict[str, Any]) -> None:
    """Take part in a gate as an xdist worker; `record` is what `Gate.to_json` made."""
    gate = Gate.from_json(record)
    config.pluginmanager.register(Items(lambda: gate, gate.channel), "gaia-items")
    _aim(config, gate.environment)


def lead(config: pytest.Config) -> None:
    """Start a gate in this process."""
    option = config.option
    refuse_unknown_stage(option.stage)
    if getattr(option, "dist", "no") not in ("no", "load"):
        raise pytest.UsageError(f"--dist={option.dist}: a gate schedules its own tests; remove the option")
    terminal = Terminal()
    try:
        session = Session(option.env, option.stage, terminal.log, complete=option.complete)
        session.prepare()
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from None
    option.reportchars = ""  # the verdict gives the reasons, once
    if getattr(option, "tbstyle", None) == "auto":  # -p no:terminal has none
        option.tbstyle = "no"
    wanted = copies.of(option)
    option.xmlpath = str(session.folder / evidence.JUNIT)
    option.allure_report_dir = str(session.folder / evidence.RESULTS)
    config.pluginmanager.register(Items(lambda: session.gate, session.channel), "gaia-items")
    config.pluginmanager.register(Controller(session, terminal, exit_code.of(config), wanted), "gaia-controller")
    _aim(config, session.environment)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cancelled CI job closes the gate as Ctrl-C does


def refuse_unknown_stage(stage: str | None) -> None:
    """Raise UsageError for an unknown --stage."""
    if stage is not None and stage not in STAGES:
        raise pytest.UsageError(f"--stage: {stage!r} is not a stage; choose from {', '.join(STAGES)}")


def _aim(config: pytest.Config, environment: Environment) -> None:
    """Collect our suites and those beside the user's own criteria, unless a path was given."""
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        own = [str(environment.criteria.parent)] if environment.criteria else []
        config.args = [str(ROOT / "suites"), *own]


class Controller:
    """The hooks of the one process that starts the gate, judges it and reports the verdict."""

    def __init__(self, session: Session, terminal: Terminal, exit_code: ExitCode, wanted: Copies) -> None:
        self._session = session
        self._terminal = terminal
        self._exit_code = exit_code
        self._wanted = wanted
        self._verdict: Verdict | None = None
        self._last_line: str | None = None
        self._statement: str | None = None  # what became of the signed statement

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Start the target before any worker starts."""
        self._terminal.attach(session.config, self._session)
        try:
            self._session.open()
        except ConfigurationError as error:
            raise pytest.UsageError(self._session.environment.redact(str(error))) from None
        except BaseException as error:  # pytest does not finish a session that did not start, even after Ctrl-C
            interrupted = isinstance(error, KeyboardInterrupt)
            code = pytest.ExitCode.INTERRUPTED if interrupted else pytest.ExitCode.INTERNAL_ERROR
            self._last_line = last_line.no_verdict("stopped before its first measurement", code)
            self._session.abandon()
            raise

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Pass the gate to an xdist worker, through its pipe."""
        node.workerinput["gaia"] = self._session.gate.to_json()

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Count a test by the state of its criterion; no letter, as the terminal has a line for every criterion."""
        outcome = outcome_of(report)
        if outcome is not None and outcome.startswith(UNDECIDED):
            return State.INCONCLUSIVE, "", State.INCONCLUSIVE.upper()
        if report.skipped and dict(report.user_properties).get("state") == State.NOT_APPLICABLE:
            return State.NOT_APPLICABLE, "", State.NOT_APPLICABLE.upper()
        if report.when == "call" and report.outcome in ("passed", "failed"):
            return report.outcome, "", report.outcome.upper()
        return None

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Show the running test."""
        self._terminal.test_started(nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the outcome of each test: the verdict depends on it."""
        outcome = outcome_of(report)
        if outcome is None:
            return
        properties = dict(report.user_properties)
        criterion = self._session.record_outcome(report.nodeid, outcome, report.duration)
        self._terminal.test_finished(criterion, properties, outcome)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None, object, object]:
        """Judge and report after every other plugin has finished, even if one of them raises."""
        self._terminal.stop()
        try:
            return (yield)
        except (Exception, pytest.exit.Exception) as error:  # noqa: BLE001 - no plugin may prevent the verdict
            self._terminal.log(self._session.environment.redact(f"a plugin of pytest failed: {error!r}"))
            return None
        finally:
            session.exitstatus = self._finish(session.config, exitstatus)
            try:
                self._wanted.write(self._session.folder)
            except OSError as error:
                self._terminal.log(f"--junitxml or --alluredir: {error}; the evidence has its own")

    def _finish(self, config: pytest.Config, exitstatus: int) -> int:
        """Judge and report; return the verdict's exit code, or pytest's own 2, 3, 4 or 5."""
        try:
            self._session.record_invocation(invocation.describe(config))
            self._verdict = self._session.close(interrupted=exitstatus == pytest.ExitCode.INTERRUPTED)
        except Exception as error:  # noqa: BLE001 - without a verdict on disk the gate is inconclusive, whatever failed
            why = self._session.environment.redact(f"the evidence could not be completed: {error}")
            code = self._exit_code.decide(None, EXIT_CODES[State.INCONCLUSIVE])
            self._last_line = last_line.no_verdict(why, code)
            return code
        self._statement = self._sign(config)
        code = self._exit_code.decide(exitstatus, EXIT_CODES[self._verdict.state])
        self._last_line = last_line.of(self._verdict, code, short(evidence.report_in(self._session.folder)))
        return code

    def _sign(self, config: pytest.Config) -> str | None:
        """Sign a statement about the verdict; whatever fails is reported, and changes no verdict."""
        plugins = [plugin for _, plugin in config.pluginmanager.list_name_plugin() if plugin is not None]
        environment = self._session.environment
        options = [environment.redact(str(option)) for option in config.invocation_params.args]
        try:
            return record.sign_gate(environment, self._session.folder, installation.describe(plugins, options))
        except (GaiaError, OSError) as error:
            return environment.redact(f"not signed, this verdict promotes nothing: {error}")

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_unconfigure(self) -> Generator[None, object, object]:
        """Write the verdict and the exit code as the last line of the output, even if another plugin raises."""
        try:
            return (yield)
        finally:
            if self._last_line is not None:
                self._terminal.last_line(self._last_line)

    def pytest_terminal_summary(self) -> None:
        """Show the verdict and the path of its evidence."""
        if self._verdict is not None:
            self._terminal.verdict(self._verdict, self._session.folder)
        if self._statement is not None:
            self._terminal.log(self._statement)


def outcome_of(report: pytest.TestReport) -> str | None:
    """Return the outcome of a test; None while it is running."""
    details = report.longrepr  # a text as `items` leaves it; longreprtext would prefix the worker's name
    text = (details if isinstance(details, str) else getattr(report, "longreprtext", "")).strip()
    last_line = text.splitlines()[-1] if text else ""
    if hasattr(report, "wasxfail"):
        return f"expected to fail (xfail): {report.wasxfail}"
    if report.skipped:
        return f"skipped: {report.longrepr[2] if isinstance(report.longrepr, tuple) else last_line}"
    if report.failed and text.startswith("Inconclusive: "):
        return UNDECIDED + " ".join(text.removeprefix("Inconclusive: ").split())
    if report.failed and dict(report.user_properties).get("state") == State.FAIL:
        return FAILED + " ".join(text.split())
    if report.failed:
        return f"broke in {report.when}: {last_line}"
    return "passed" if report.when == "call" else None
