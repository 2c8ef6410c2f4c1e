"""What to do next about a criterion that did not pass, and which file of the evidence to open for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gaia_checks.gate.display import server_errors
from gaia_checks.gate.display.server_errors import ServerError
from gaia_checks.judge import judgement, stalls
from gaia_checks.judge.criteria_file import Criteria
from gaia_checks.model import CriterionVerdict, State, Verdict
from gaia_checks.report import earlier_gates, evidence, words

_ANSWERED_500 = "status 5"
_LOG = "server.log"
_QUIETER = "repeat it on a quieter machine: the CPU shares below the table say who took it"


@dataclass(frozen=True, slots=True)
class Step:
    """What to do, and the file or folder of the evidence that shows more; `{env}` is the environment."""

    do: str
    file: str = evidence.REPORT


_REPEAT = Step("send the request above yourself")
_COPY = Step("the rehearsal copy did it; try it by hand on a machine without users")

STEPS: Mapping[str, Step] = {
    "process": Step("run gaia status {env}: which process and release serve there?"),
    "database": Step("run gaia doctor {env}"),
    "migrations": Step("run gaia doctor {env}: it names the command that applies what is missing"),
    "health": _REPEAT,
    "api": _REPEAT,
    "websocket": Step("connect to the WebSocket yourself, without a proxy in between", "timelines/soak.jsonl"),
    "log": Step("find the cause of the line", _LOG),
    "load": Step("look at what the server did when it was slow or failed", "load.html"),
    "limits": Step("compare what was admitted with the rule", "timelines/limits.jsonl"),
    "quotas": _COPY,
    "figures": _REPEAT,
    "access": _REPEAT,
    "identity": _REPEAT,
    "soak": Step("look at when connections were lost", "timelines/soak.jsonl"),
    "instances": Step(
        "compare the instance named above with the others: GET /health of each", "timelines/instances.jsonl"
    ),
    "dashboard": Step("look at the page", "pictures/dashboard"),
    "shutdown": _COPY,
    "fresh_install": _COPY,
    "outage": _COPY,
    "resources": _COPY,
    "memory": Step("look at when it grew", "timelines/memory.jsonl"),
    "connections": Step("look at when they were taken", "timelines/connections.jsonl"),
    "protection": Step("look at when requests of the rules' clients were slow or admitted", "protection/timelines"),
    "monitoring": Step("query it in Prometheus, or read /metrics"),
    "rollback": Step("run gaia rollback on a copy: the reason above names the step that failed"),
    "no_regression": Step("profile both releases at the request that became slower: the reason above says by how much"),
    "certificate": Step("renew the certificate, or its chain, where TLS ends"),
}
"""Look -> what to do when its criterion fails. A look without an entry has the report."""


class NextSteps:
    """The next steps of one gate, from its evidence."""

    def __init__(self, verdict: Verdict, folder: Path, criteria: Criteria) -> None:
        self._verdict = verdict
        self._folder = folder
        self._criteria = criteria
        self._looks = {criterion.id: criterion.look for criterion in criteria.criteria}

    def of(self, criterion: CriterionVerdict) -> str | None:
        """Return the next step as one line, the file first; None where the reason itself says what to do."""
        if criterion.state is State.FAIL:
            return self._about_failure(criterion)
        if any(doubt in criterion.why for doubt in (judgement.BUSY, judgement.UNRELIABLE, stalls.STOOD_STILL)):
            return _QUIETER
        return self._about_window(criterion)

    def passed_last(self, criterion: CriterionVerdict) -> str | None:
        """Return the gate in which a failed criterion passed last; None where no earlier gate is known."""
        return self._passed_last.get(criterion.id)

    def _about_failure(self, criterion: CriterionVerdict) -> str:
        step = STEPS.get(self._looks.get(criterion.id, ""), Step("read its checks"))
        error = self._error(step, criterion.why)
        if error is not None:
            return f"open {self._folder / _LOG}:{error.line}: {error.text}"
        path = self._folder / step.file
        shown = path if path.exists() else self._folder / evidence.REPORT
        return f"open {shown}: {step.do.format(env=self._verdict.environment)}"

    @cached_property
    def _passed_last(self) -> Mapping[str, str]:
        return earlier_gates.read(self._folder, self._verdict).passed_last()

    @cached_property
    def _errors(self) -> list[ServerError]:
        """Read the log, which may be long, only when something failed."""
        return server_errors.read(self._folder / _LOG, self._verdict.started_at)

    def _error(self, step: Step, why: str) -> ServerError | None:
        if step.file == _LOG and self._errors:
            return self._errors[0]
        return server_errors.behind(why, self._errors) if _ANSWERED_500 in why else None

    def _about_window(self, criterion: CriterionVerdict) -> str | None:
        """Name the setting that makes the window long enough, or say that no window would be."""
        if not criterion.needs_s:
            return None
        if criterion.why.startswith(judgement.CUT_SHORT):
            return "repeat it and let it run to its end"
        if criterion.needs_s > words.LONGEST_FORECAST_S:
            return "make what it measures clearly better than the threshold, or repeat it on a quieter machine"
        look = self._looks.get(criterion.id, "")
        parameters = self._criteria.looks.get(look, {})
        for name in ("max_window_s", "window_s"):
            if name in parameters:
                longer_s = parameters[name] + criterion.needs_s
                return (
                    f"repeat it with {name} = {longer_s:.0f} under [looks.{look}] of {self._verdict.environment}.toml"
                )
        return None
