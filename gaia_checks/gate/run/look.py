"""What a suite test is given: take a look, write down what was seen, let the judge decide.

@pytest.mark.criterion("dev.health")
def test_health(look: Look) -> None:
    look(health.probe)
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gaia_checks import jsonl
from gaia_checks.deploy import rollout
from gaia_checks.deploy.rehearsal import rehearsal_copy
from gaia_checks.deploy.rehearsal.rehearsal_copy import Copy
from gaia_checks.environment import Environment
from gaia_checks.errors import GaiaError, Inconclusive
from gaia_checks.gate.run import background, plan
from gaia_checks.gate.run import target as targets
from gaia_checks.judge.criteria import Criteria
from gaia_checks.judge.verdict import judge_measured, outcome_name
from gaia_checks.model import Criterion, CriterionVerdict, Measurement, State, Target
from gaia_checks.report import evidence

Probe = Callable[..., list[Measurement]]

CUT, SETTLED = "cut", "cut.settled"
"""Notes of a gate that is cut short: why; and that every background process has ended."""

PLAN = "plan.json"
"""The note that says which tests there are: test -> criterion."""

FAILED = "failed: "
"""The prefix of a test's outcome whose criterion has failed."""

STARTED = "started."
"""The prefix of the note that a load has started; the name of its look follows."""

_POLL_S = 0.2
_GRACE_S = 120.0  # what a background look may take beyond its window: starting, connecting, writing
_TURN_S = 3600.0  # how long a load may wait for its turn: behind the browser, the copies and another load


@dataclass(frozen=True)
class Gate:
    """What every process of a gate knows: the controller, and each xdist worker."""

    environment: Environment
    stage: str
    folder: Path
    criteria: Criteria
    channel: Path  # a folder of notes between the gate's processes; no evidence
    target: Target | None
    unreachable: str | None  # why there is no target

    @property
    def measurements(self) -> Path:
        """The file that every look is written to."""
        return self.folder / "measurements.jsonl"

    @property
    def cut_short(self) -> str | None:
        """Why the gate ends before its time; None while it goes on."""
        try:
            return (self.channel / CUT).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def record(self, measurement: Measurement) -> None:
        """Append one measurement to the evidence, without secrets."""
        clean = replace(measurement, notes=tuple(map(self.environment.redact, measurement.notes)))
        jsonl.append(self.measurements, clean.to_json())

    def seen(self) -> list[Measurement]:
        """Return what was measured so far, by anybody."""
        return [Measurement.from_json(record) for record in jsonl.read(self.measurements)]


class Look:
    """One test's look at the target, for one criterion."""

    def __init__(
        self, gate: Gate, criterion: Criterion, others: Iterable[str], report: Callable[[CriterionVerdict], None]
    ) -> None:
        self._gate = gate
        self._criterion = criterion
        self._others = tuple(others)
        self._report = report

    @property
    def target(self) -> Target:
        """The server under the gate. Raises Inconclusive when there is none."""
        if self._gate.target is None:
            raise Inconclusive(self._gate.unreachable or "there is no target")
        return self._gate.target

    @property
    def pictures(self) -> Path:
        """Where this look may save pictures of what it saw: people find them in the report."""
        folder = self._gate.folder / evidence.PICTURES / self._criterion.look
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def __call__(self, probe: Probe, target: Target | None = None, **parameters: Any) -> None:
        """Run `probe` with the look's parameters, write down what it saw, and decide the criterion.

        A `target` that was waited for is looked at also when the gate is cut short.
        """
        if target is None:
            target = self.target
            self._go_on()
        settings: Mapping[str, float] = self._gate.criteria.looks[self._criterion.look]
        try:
            seen = probe(target, **settings, **parameters)
        except GaiaError as error:
            raise Inconclusive(self._gate.environment.redact(str(error))) from None
        except Exception as error:  # noqa: BLE001 - a crash of our own looking decides nothing, and must not leak
            raise Inconclusive(
                self._gate.environment.redact(f"the look {self._criterion.look} broke: {error!r}")
            ) from None
        for measurement in seen:
            self._gate.record(measurement)
        self._decide()

    def copy(self, purpose: str) -> AbstractContextManager[Copy]:
        """Give a rehearsal copy, for what would hurt the target. Entering it raises GaiaError where there is none."""
        environment = self._gate.environment
        return rehearsal_copy.beside(self.target, environment, purpose, twin=targets.brought_by_gate(environment))

    def recorded(self) -> None:
        """Wait until the look has been recorded in the background, and decide the criterion."""
        _ = self.target
        needed = {check.measurement for check in self._criterion.checks}
        process = background.process_of(self._criterion.look)
        ended = background.exit_name(process) if process else ""
        grows = len(self._criterion.looks_s) > 1  # then only its end says that no further analysis follows
        if self._criterion.look in plan.LOADS:
            started = self._gate.channel / (STARTED + self._criterion.look)
            self._wait(lambda names: started.exists() or ended in names, _TURN_S)
        self._wait(
            lambda names: (needed <= names and not grows) or ended in names, self._criterion.max_window_s + _GRACE_S
        )
        self._go_on()
        found = {seen.name: seen for seen in self._gate.seen()}
        if not needed <= found.keys() and found[ended].value != 0:
            said = f": {found[ended].notes[0]}" if found[ended].notes else ""
            raise Inconclusive(f"the {process} process ended with exit code {found[ended].value}{said}")
        self._decide()

    def after_all_others(self) -> Target:
        """Wait until every other test of this gate has ended, or it is cut short; return the target as it is then."""
        before = self.target
        needed = {outcome_name(criterion_id) for criterion_id in self._others}
        longest_s = max(criterion.max_window_s for criterion in self._gate.criteria.criteria)
        self._wait(lambda names: needed <= names, longest_s + _GRACE_S)
        if before.process is None:
            return before
        status = rollout.status(self._gate.environment)
        return replace(before, process=status.process, release=status.release)

    def _go_on(self) -> None:
        """Stop when the gate is cut short: decide on what was measured until then; a failure remains one."""
        __tracebackhide__ = True
        if not (why := self._gate.cut_short):
            return
        verdict = judge_measured(self._criterion, self._gate.seen(), rehearsal=self._gate.criteria.rehearsal)
        if verdict.state is not State.FAIL:
            raise Inconclusive(why)
        self._decide()

    def _wait(self, done: Callable[[set[str]], bool], limit_s: float) -> None:
        deadline, written = time.monotonic() + limit_s, jsonl.Reader(self._gate.measurements)
        while not (self._gate.channel / SETTLED).exists():
            if done({record["name"] for record in written.records()}) and not self._gate.cut_short:
                return
            if time.monotonic() > deadline:
                raise Inconclusive(f"the look {self._criterion.look} did not end within {limit_s:.0f} s")
            time.sleep(_POLL_S)

    def _decide(self) -> None:
        __tracebackhide__ = True
        verdict = judge_measured(self._criterion, self._gate.seen(), rehearsal=self._gate.criteria.rehearsal)
        self._report(verdict)
        if verdict.state is State.FAIL:
            raise AssertionError(verdict.why)
        if verdict.state is State.INCONCLUSIVE:
            raise Inconclusive(verdict.why)
