"""Who measures beside the tests, when: the recorders from the beginning, the loads one by one, and the early end.

The loads wait for all that `plan` puts before them. When a criterion has certainly failed, what still runs is stopped
and the waiting tests are informed, so that a gate that can no longer pass does not go on for half an hour.
"""

import os
import threading
import time
from collections.abc import Callable, Collection, Sequence

from gaia_checks import jsonl
from gaia_checks.gate.run import background, early, extension, machine_size, plan
from gaia_checks.gate.run.look import CUT, SETTLED, STARTED, Gate
from gaia_checks.load.views import chart
from gaia_checks.model import Criterion, Measurement, Target

_POLL_S = 0.1

Planned = Callable[[], Sequence[Criterion] | None]
"""Gives the criteria that have a test in this gate; None while the tests are not yet known."""


class Conductor:
    """The controller's hand over everything that runs in the background of one gate."""

    def __init__(self, gate: Gate, target: Target, planned: Planned, *, complete: bool) -> None:
        """With `complete`, a gate that can no longer pass goes on to its end."""
        self._gate = gate
        self._target = target
        self._planned = planned
        self._complete = complete
        self._background = background.Background(gate.folder, target, gate.record)
        self._over = threading.Event()  # nothing new is started
        self._cutting = threading.Lock()
        self._ended: set[str] = set()  # criteria whose tests have
        self._tests_ended = threading.Event()
        self._synced = threading.Event()  # nothing that was written before the gate is still on its way to the disk
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin as soon as the tests are known, and watch."""
        self._spawn(self._begin)
        self._spawn(self._watch)
        self._spawn(self._size_up)

    def ended(self, criterion_id: str, *, failed: bool) -> None:
        """Take note of a test that has ended."""
        self._ended.add(criterion_id)
        if failed and not self._complete:
            self._spawn(lambda: self._cut(criterion_id))
            return  # nothing more may begin
        first = [each for each in self._planned() or () if plan.before_loads(each.look)]
        if self._ended.issuperset(criterion.id for criterion in first):
            self._tests_ended.set()

    def close(self) -> None:
        """End everything and return when it has."""
        with self._cutting:
            self._over.set()
        self._tests_ended.set()
        self._synced.set()
        self._background.stop()
        for thread in self._threads:
            thread.join()  # it may have started what has to be stopped
        self._background.stop()

    def _spawn(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _begin(self) -> None:
        """Record from the beginning; once nothing disturbs a load any more, start them one by one."""
        wanted, looks = {criterion.look for criterion in self._criteria()}, self._gate.criteria.looks
        started_s = time.monotonic()
        self._background.start(background.recorders(self._gate.folder, looks, wanted, self._gate.channel))
        if self._target.process:
            os.sync()  # what an installation has just written goes to the disk now, not while decisions are committed
        self._synced.set()
        loads = [look for look in plan.LOADS if look in wanted]
        if loads:
            self._until_undisturbed(wanted, started_s)
        for look in loads:
            if self._over.is_set():
                return
            self._background.start({look: background.a_load(self._gate.folder, looks, look, self._gate.channel)})
            (self._gate.channel / (STARTED + look)).touch()
            if look == plan.LOAD:
                self._extend_while_undecided()
            self._background.wait(look)

    def _until_undisturbed(self, wanted: Collection[str], started_s: float) -> None:
        """Wait until all that makes the server or this machine slower has ended, or the gate is over."""
        if any(map(plan.before_loads, wanted)):
            self._tests_ended.wait()
        self._background.wait("limits")
        if "soak" in wanted:
            events_end_s = started_s + plan.events_end_s(self._gate.criteria.looks)
            self._over.wait(max(0.0, events_end_s - time.monotonic()))

    def _extend_while_undecided(self) -> None:
        """Let the load go on while a criterion of it that is looked at needs more; return when it is enough."""
        written = jsonl.Reader(self._gate.measurements)
        extension.watch(
            [criterion for criterion in self._criteria() if criterion.look == plan.LOAD],
            lambda: [Measurement.from_json(record) for record in written.records()],
            self._over,
            rehearsal=self._gate.criteria.rehearsal,
            mark=lambda label: chart.mark(self._gate.folder, label),
            enough=self._background.enough,
        )

    def _watch(self) -> None:
        """Judge what was measured so far until a criterion has certainly failed."""
        gate = self._gate
        failed = early.watch(
            self._criteria(),
            lambda look: early.so_far(gate.channel, look),
            self._over,
            rehearsal=gate.criteria.rehearsal,
        )
        if failed and not self._complete:
            criterion, seen = failed
            for measurement in seen if criterion.look in plan.LOADS else ():
                gate.record(measurement)  # a load that is ended measures nothing more
            self._cut(criterion.id)

    def _size_up(self) -> None:
        """End the gate before its load when this machine is too small for one."""
        wanted = {criterion.look for criterion in self._criteria()}
        loads = [look for look in plan.LOADS if look in wanted]
        limits = machine_size.Limits.of(self._gate.criteria, loads[0]) if loads and not self._complete else None
        if limits is None:
            return
        self._synced.wait()
        started = (self._gate.channel / (STARTED + loads[0])).exists
        why = machine_size.watch(self._gate.folder, self._target, limits, self._over, started)
        if why:
            self._cut_because(why)

    def _cut(self, criterion_id: str) -> None:
        """Stop what runs, as a criterion has certainly failed."""
        self._cut_because(
            f"cut short, as {criterion_id} has certainly failed; --complete measures everything all the same"
        )

    def _cut_because(self, why: str) -> None:
        """Stop what runs, and inform the waiting tests why. Once."""
        with self._cutting:
            if self._over.is_set():
                return
            self._over.set()
            self._tests_ended.set()
            (self._gate.channel / CUT).write_text(why, encoding="utf-8")
            self._background.stop()
            (self._gate.channel / SETTLED).touch()

    def _criteria(self) -> Sequence[Criterion]:
        """Wait for the tests to be known; return their criteria, none when the gate is over before."""
        while (planned := self._planned()) is None:
            if self._over.wait(_POLL_S):
                return ()
        return planned
