"""The `look` fixture of suite tests: run a probe, record its measurements, let the judge decide.

@pytest.mark.criterion("dev.health")
def test_health(look: Look) -> None:
    look(health.probe)
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pytest

from gaia_checks import jsonl
from gaia_checks.deploy import rollout
from gaia_checks.deploy.rehearsal import bare_copy, rehearsal_copy, release_schema
from gaia_checks.deploy.rehearsal.bare_copy import BareCopy
from gaia_checks.deploy.rehearsal.rehearsal_copy import RehearsalCopy
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import GaiaError, Inconclusive
from gaia_checks.gate.run import background, gate_plan, gated_target
from gaia_checks.judge import applicability, criteria_file
from gaia_checks.judge.criteria_file import Criteria
from gaia_checks.judge.judgement import judge_measured, outcome_name, unmeasured
from gaia_checks.model import Criterion, CriterionVerdict, Measurement, State, Target
from gaia_checks.report import evidence

Probe = Callable[..., list[Measurement]]

STOPPED, SETTLED = "stopped", "stopped.settled"
"""Files of a gate that is stopped early: the reason; and that every background process has exited."""

PLAN = "plan.json"
"""The file of the planned tests: test -> criterion."""

FAILED = "failed: "
"""Prefix of the outcome of a test whose criterion failed."""

STARTED = "started."
"""Prefix of the file that marks a load, or the comparison before it, as started; its look follows."""

_POLL_S = 0.2
_GRACE_S = 120.0  # for a background look beyond its window: starting, connecting, writing
_TURN_S = 3600.0  # for a load to wait for its turn: after the browser, the rehearsal copies and another load


@dataclass(frozen=True)
class Gate:
    """The state of a gate that all its processes share: the controller and each xdist worker."""

    environment: Environment
    stage: str
    folder: Path
    criteria: Criteria
    channel: Path  # a folder of files between the gate's processes; not evidence
    target: Target | None
    unreachable: str | None  # why there is no target
    found: Target | None = None  # the server at the target's address, whether or not it serves the gate

    @property
    def measurements(self) -> Path:
        """The file of all measurements."""
        return self.folder / "measurements.jsonl"

    @property
    def stopped_early(self) -> str | None:
        """Why the gate was stopped early; None while it runs."""
        try:
            return (self.channel / STOPPED).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def record(self, measurement: Measurement) -> None:
        """Append one measurement to the evidence, without secrets."""
        clean = replace(measurement, notes=tuple(map(self.environment.redact, measurement.notes)))
        jsonl.append(self.measurements, clean.to_json())

    def measured(self) -> list[Measurement]:
        """Return the measurements of all processes so far."""
        return [Measurement.from_json(record) for record in jsonl.read(self.measurements)]

    def to_json(self) -> dict[str, Any]:
        """Describe it for an xdist worker. The record contains secrets and is sent through a pipe."""
        return {
            "environment": str(self.environment.path),
            "stage": self.stage,
            "folder": str(self.folder),
            "channel": str(self.channel),
            "target": self.target.to_json() if self.target else None,
            "unreachable": self.unreachable,
            "found": self.found.to_json() if self.found else None,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild in an xdist worker what `to_json` described; environment and criteria are read again."""
        environment: Environment = environment_file.load(record["environment"])
        return cls(
            environment=environment,
            stage=record["stage"],
            folder=Path(record["folder"]),
            criteria=criteria_file.load(
                overrides=environment.looks, own=environment.criteria, limits=environment.no_regression
            ),
            channel=Path(record["channel"]),
            target=Target.from_json(record["target"]) if record["target"] else None,
            unreachable=record["unreachable"],
            found=Target.from_json(record["found"]) if record["found"] else None,
        )


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
    def found(self) -> Target:
        """The server at the target's address, even if the gate cannot use it. Raises Inconclusive without one."""
        return self._gate.found or self.target

    @property
    def load_rate_per_s(self) -> float:
        """The requests a second that the environment's server is to serve."""
        return self._gate.criteria.looks[gate_plan.LOAD]["rate_per_s"]

    @property
    def pictures(self) -> Path:
        """The folder for this look's screenshots, which the report shows."""
        folder = self._gate.folder / evidence.PICTURES / self._criterion.look
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def __call__(self, probe: Probe, target: Target | None = None, **parameters: Any) -> None:
        """Run `probe` with the look's parameters, record its measurements, and decide the criterion.

        A `target` that is passed (from `after_all_others`, or `found`) is probed even when the gate is stopped early.
        """
        self._skip_if_not_applicable()
        if target is None:
            target = self._answering()
            if self._criterion.look not in gate_plan.FIRST:
                self._stop_if_requested()
        settings: Mapping[str, float] = self._gate.criteria.looks[self._criterion.look]
        try:
            measurements = probe(target, **settings, **parameters)
        except GaiaError as error:
            raise Inconclusive(self._gate.environment.redact(str(error))) from None
        except Exception as error:  # noqa: BLE001 - a crash of a probe decides nothing, and must not leak secrets
            raise Inconclusive(
                self._gate.environment.redact(f"the probe of the look {self._criterion.look} crashed: {error!r}")
            ) from None
        if foreign := [each.name for each in measurements if not each.name.startswith(f"{self._criterion.look}.")]:
            look = self._criterion.look
            raise Inconclusive(f"the probe of the look {look} measured {foreign[0]}: name it {look}.something")
        for measurement in measurements:
            self._gate.record(measurement)
        if exits := background.exits_of(self._criterion.look):
            self._wait_for(exits)
        self._decide()

    def copy(self, purpose: str, **variables: str) -> AbstractContextManager[RehearsalCopy]:
        """Return a rehearsal copy with these variables, for tests that would harm the target.

        Entering it raises GaiaError without one.
        """
        environment = self._gate.environment
        stand_in = gated_target.deployed_by_gate(environment)
        return rehearsal_copy.beside(self.target, environment, purpose, stand_in=stand_in, **variables)

    def release_schema(self) -> AbstractContextManager[str]:
        """Return a block with the address of a database made from the release's files. Entering raises GaiaError."""
        return release_schema.beside(self._gate.environment)

    def bare_copy(self, purpose: str) -> AbstractContextManager[BareCopy]:
        """Return a rehearsal copy without a supervisor, for tests that start and end servers themselves."""
        return bare_copy.bare(self.target, self._gate.environment, purpose)

    def recorded(self) -> None:
        """Wait until the look has been recorded in the background, and decide the criterion."""
        self._skip_if_not_applicable()
        self._answering()
        exits = background.exits_of(self._criterion.look)
        if self._criterion.look in gate_plan.IN_TURN:
            started = self._gate.channel / (STARTED + self._criterion.look)
            self._wait(lambda names: started.exists() or names.issuperset(exits), _TURN_S)
        self._wait_for(exits)
        self._decide()

    def _wait_for(self, exits: Mapping[str, str]) -> None:
        """Wait for all measurements of the criterion, or until what makes them (`exits`: exit -> name) has finished."""
        required = {check.measurement for check in self._criterion.checks if not check.closing}
        wait_s = self._gate.environment.load.wait_s
        grows = len(self._criterion.looks_s) > 1  # then only its exit shows that no further analysis follows
        self._wait(
            lambda names: (required <= names and not grows) or names.issuperset(exits),
            self._criterion.max_window_s + (wait_s if self._criterion.look == gate_plan.LOAD else 0.0) + _GRACE_S,
        )
        self._stop_if_requested()
        found = {each.name: each for each in self._gate.measured()}
        for name, process in exits.items():
            if not required <= found.keys() and found[name].value != 0:
                last_line = f": {found[name].notes[0]}" if found[name].notes else ""
                raise Inconclusive(f"the {process} process exited with code {found[name].value}{last_line}")

    def after_all_others(self) -> Target:
        """Wait until all other tests of this gate have finished or it is stopped; return the target as it is then."""
        before = self.target
        required = {outcome_name(criterion_id) for criterion_id in self._others}
        longest_s = max(criterion.max_window_s for criterion in self._gate.criteria.criteria)
        wait_s = self._gate.environment.load.wait_s
        self._wait(lambda names: required <= names, longest_s + wait_s + _GRACE_S)
        if before.process is None:
            return before
        status = rollout.status(self._gate.environment)
        return replace(before, process=status.process, release=status.release)

    def _answering(self) -> Target:
        """Return the target. Raises Inconclusive when it answers nothing: one look shows that, and it fails."""
        if self.target.silent and self._criterion.look != gate_plan.FIRST[0]:
            raise Inconclusive(self.target.silent)
        return self.target

    def _skip_if_not_applicable(self) -> None:
        """Skip the test of a criterion that does not apply to the target."""
        __tracebackhide__ = True
        if why := applicability.why_not(self._criterion, self._gate.measured()):
            self._report(unmeasured(self._criterion, State.NOT_APPLICABLE, why))
            pytest.skip(why)

    def _stop_if_requested(self) -> None:
        """If the gate is stopped early, decide on the measurements so far: fail if they do, else inconclusive."""
        __tracebackhide__ = True
        if not (why := self._gate.stopped_early):
            return
        verdict = judge_measured(self._criterion, self._gate.measured(), rehearsal=self._gate.criteria.rehearsal)
        if verdict.state is not State.FAIL:
            raise Inconclusive(why)
        self._decide()

    def _wait(self, done: Callable[[set[str]], bool], limit_s: float) -> None:
        deadline, written = time.monotonic() + limit_s, jsonl.Reader(self._gate.measurements)
        while not (self._gate.channel / SETTLED).exists():
            if done({record["name"] for record in written.records()}) and not self._gate.stopped_early:
                return
            if time.monotonic() > deadline:
                raise Inconclusive(f"the look {self._criterion.look} did not finish within {limit_s:.0f} s")
            time.sleep(_POLL_S)

    def _decide(self) -> None:
        __tracebackhide__ = True
        verdict = judge_measured(self._criterion, self._gate.measured(), rehearsal=self._gate.criteria.rehearsal)
        self._report(verdict)
        if verdict.state is State.NOT_APPLICABLE:
            pytest.skip(verdict.why)
        if verdict.state is State.FAIL:
            raise AssertionError(verdict.why)
        if verdict.state is State.INCONCLUSIVE:
            raise Inconclusive(verdict.why)
