"""Start and stop the background processes of a gate: recorders at the start, loads one by one, and the early stop.

The loads wait for every look that `plan` schedules before them. When a criterion has certainly failed, running
processes are stopped and waiting tests are released, so that a gate that can no longer pass stops within seconds.
"""

import os
import threading
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial

from gaia_checks import jsonl
from gaia_checks.gate.run import background, beside, early, extension, gate_plan, machine_size
from gaia_checks.gate.run.look import SETTLED, STARTED, STOPPED, Gate
from gaia_checks.judge import statistics
from gaia_checks.load.machine import Machine
from gaia_checks.load.views import chart
from gaia_checks.model import Criterion, Measurement, Target

_POLL_S = 0.1

Planned = Callable[[], Sequence[Criterion] | None]
"""Return the criteria that have a test in this gate; None while the tests are not yet known."""


class Conductor:
    """Controls every background process of one gate."""

    def __init__(self, gate: Gate, target: Target, planned: Planned, *, complete: bool) -> None:
        """With `complete`, a gate that can no longer pass runs to its end."""
        self._gate = gate
        self._target = target
        self._planned = planned
        self._complete = complete
        self._background = background.Background(gate.folder, target, gate.record)
        self._over = threading.Event()  # nothing new is started
        self._stopping = threading.Lock()
        self._finished: set[str] = set()  # criteria whose tests have finished
        self._tests_finished = threading.Event()
        self._synced = threading.Event()  # everything written before the gate is on the disk
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the processes as soon as the tests are known, and watch for a certain failure and a small machine."""
        self._lanes = [self._spawn(partial(self._take_beside, lane)) for lane in gate_plan.LANES]
        self._spawn(self._run_processes)
        self._spawn(self._watch)
        self._spawn(self._check_machine)

    def test_finished(self, criterion_id: str, *, failed: bool) -> None:
        """Register a finished test; stop the gate if it failed."""
        self._finished.add(criterion_id)
        if failed and not self._complete:
            self._spawn(lambda: self._stop_after_failure(criterion_id))
            return  # nothing more may start
        first = [each for each in self._planned() or () if gate_plan.before_loads(each.look)]
        if self._finished.issuperset(criterion.id for criterion in first):
            self._tests_finished.set()

    def close(self) -> None:
        """Stop everything and return when it has stopped."""
        with self._stopping:
            self._over.set()
        self._tests_finished.set()
        self._synced.set()
        self._background.stop()
        for thread in self._threads:
            thread.join()  # it may have started a process that has to be stopped
        self._background.stop()

    def _spawn(self, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _run_processes(self) -> None:
        """Start the recorders; once nothing disturbs any more, compare two releases, and run the loads one by one."""
        wanted, looks = {criterion.look for criterion in self._criteria()}, self._gate.criteria.looks
        started_s = time.monotonic()
        self._background.start(background.recorders(self._gate.folder, looks, wanted, self._gate.channel))
        self._write_back()  # what an installation has just written
        self._synced.set()
        loads = [look for look in gate_plan.LOADS if look in wanted]
        if not wanted.isdisjoint(gate_plan.IN_TURN):
            self._until_undisturbed(wanted, started_s)
        if gate_plan.COMPARISON in wanted and not self._over.is_set():
            (self._gate.channel / (STARTED + gate_plan.COMPARISON)).touch()
            beside.take(self._gate, self._target, gate_plan.COMPARISON, self._over, wanted)
        if loads:
            statistics.special()  # its import would disturb the load
        for look in loads:
            self._write_back()  # what the looks before it have written
            if self._over.is_set():
                return
            self._background.start({look: self._load(look)})
            (self._gate.channel / (STARTED + look)).touch()
            if look == gate_plan.LOAD:
                self._extend_while_undecided()
            self._background.wait(look)

    def _load(self, look: str) -> tuple[str, ...]:
        gate = self._gate
        return background.a_load(gate.folder, gate.criteria.looks, look, gate.channel, gate.environment.load)

    def _take_beside(self, lane: Sequence[str]) -> None:
        """Take the looks of a lane, on rehearsal copies, that tests wait for."""
        wanted = {criterion.look for criterion in self._criteria()}
        for look in gate_plan.beside(lane, wanted):
            beside.take(self._gate, self._target, look, self._over, wanted)

    def _write_back(self) -> None:
        """Write pending data to the disk now, not while the server of a load commits its decisions."""
        if self._target.process:
            os.sync()

    def _until_undisturbed(self, wanted: Collection[str], started_s: float) -> None:
        """Wait until every look that slows the server or this machine has finished, or the gate is over."""
        if any(map(gate_plan.before_loads, wanted)):
            self._tests_finished.wait()
        for lane in self._lanes:
            lane.join()  # also when its tests wait no longer
        self._background.wait("limits")
        events_end_s = started_s + gate_plan.events_end_s(self._gate.criteria.looks, wanted)
        self._over.wait(max(0.0, events_end_s - time.monotonic()))

    def _extend_while_undecided(self) -> None:
        """Extend the load while one of its criteria is undecided; return when it is long enough."""
        written = jsonl.Reader(self._gate.measurements)
        extension.watch(
            [criterion for criterion in self._criteria() if criterion.look == gate_plan.LOAD],
            lambda: [Measurement.from_json(record) for record in written.records()],
            self._over,
            rehearsal=self._gate.criteria.rehearsal,
            mark=lambda label: chart.mark(self._gate.folder, label),
            enough=self._background.enough,
        )

    def _watch(self) -> None:
        """Judge the interim measurements until a criterion has certainly failed."""
        gate = self._gate
        failure = early.watch(
            self._criteria(),
            lambda look: early.so_far(gate.channel, look),
            self._over,
            rehearsal=gate.criteria.rehearsal,
        )
        if failure and not self._complete:
            criterion, measurements = failure
            for measurement in measurements if criterion.look in gate_plan.LOADS else ():
                gate.record(measurement)  # a load that is stopped measures nothing more
            self._stop_after_failure(criterion.id)

    def _check_machine(self) -> None:
        """Stop the gate before its load when this machine is too small for one."""
        wanted = {criterion.look for criterion in self._criteria()}
        loads = [look for look in gate_plan.LOADS if look in wanted]
        limits = (
            machine_size.MachineRequirements.of(self._gate.criteria, loads[0]) if loads and not self._complete else None
        )
        if limits is None:
            return
        self._synced.wait()
        started = (self._gate.channel / (STARTED + loads[0])).exists
        machine = Machine(self._target.process, gate=os.getpid(), generator=None, scan_every=1)
        why = machine_size.watch(self._gate.folder, self._target, limits, self._over, started, machine)
        if why:
            self._stop_early(why)

    def _stop_after_failure(self, criterion_id: str) -> None:
        """Stop the gate, as a criterion has certainly failed."""
        self._stop_early(f"stopped early: {criterion_id} has certainly failed; --complete measures everything anyway")

    def _stop_early(self, why: str) -> None:
        """Stop the background processes and give waiting tests the reason. Once."""
        with self._stopping:
            if self._over.is_set():
                return
            self._over.set()
            self._tests_finished.set()
            (self._gate.channel / STOPPED).write_text(why, encoding="utf-8")
            self._background.stop()
            (self._gate.channel / SETTLED).touch()

    def _criteria(self) -> Sequence[Criterion]:
        """Wait for the tests to be known; return their criteria, none when the gate is over before."""
        while (planned := self._planned()) is None:
            if self._over.wait(_POLL_S):
                return ()
        return planned
