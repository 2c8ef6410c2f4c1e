"""The master of a distributed load: admits workers, gives each its part and the start, and merges their reports.

A worker that is refused, or comes when the load has started, sends nothing and ends nothing. One that is lost while
the load runs ends it: what that one sent is not known.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gevent
from locust.dispatch import UsersDispatcher
from locust.runners import STATE_MISSING, MasterRunner, WorkerNode, WorkerNodes

from gaia_checks.errors import Inconclusive
from gaia_checks.load.locust_plugin import membership, target_names
from gaia_checks.load.locust_plugin.membership import ClockDifference, LoadProcess
from gaia_checks.load.locust_plugin.workers import KEY, UNKNOWN, MakeCollector, decide, stop
from gaia_checks.load.plan.load_plan import LoadPlan
from gaia_checks.load.plan.request_mix import Mix
from gaia_checks.load.results.collector import Collector
from gaia_checks.load.results.per_second import REPLY_LIMIT_S, Second
from gaia_checks.load.results.worker_totals import WorkerTotals
from gaia_checks.printable import printable

_LEAD_S = 0.5  # from the master's message to the start, beside twice the longest round trip
_WATCH_S = 0.5
_BEYOND_S = REPLY_LIMIT_S + 20.0  # for the last responses and the last reports

_LATE = "the load has started without it"


class OnePerWorker(UsersDispatcher):
    """Gives every worker one user, whatever --users says: --rate sets the load. Nothing is dispatched again."""

    dispatch_in_progress = True  # else locust starts the load again when a worker joins or leaves

    def new_dispatch(self, target_user_count: int, spawn_rate: float, user_classes: Any = None) -> None:
        """Start dispatching users."""
        del spawn_rate
        workers = len(self._worker_nodes)
        super().new_dispatch(min(target_user_count, 1) * workers, workers, user_classes)

    def add_worker(self, worker_node: WorkerNode) -> None:
        """Give a worker that joins a running load nothing."""


class Admitted(WorkerNodes):
    """Locust's table of workers, in which only an admitted one is ready to be given users."""

    def __init__(self, connected: WorkerNodes) -> None:
        """Take over the workers that have already connected."""
        super().__init__()
        self.update(connected)
        self.admitted: dict[str, LoadProcess] = {}  # id -> who it is, also after it has left
        self.clocks: dict[str, ClockDifference] = {}

    @property
    def ready(self) -> list[WorkerNode]:
        """The admitted workers that have nothing to do yet."""
        return [node for node in super().ready if node.id in self.admitted]

    def names(self, ids: Sequence[str]) -> str:
        """Return workers as messages call them; one that has not introduced itself by locust's id."""
        return ", ".join(self.admitted[each].name if each in self.admitted else each for each in ids)


@dataclass
class _Parts:
    """The master's state of one load."""

    expected: int
    order: list[str] = field(default_factory=list)  # ids of the workers that are prepared
    urls: list[str] = field(default_factory=list)  # of the target, as each of them reaches it
    mix: list[tuple[str, str, float]] | None = None  # what they send; None: tasks, or not known yet
    collector: Collector | None = None
    reason: str = ""  # why there will be no result
    ends_s: float = float("inf")  # deadline of the last report, on the monotonic clock


class Master:
    """The master: waits for all workers, distributes the parts, merges the reports."""

    def __init__(self, environment: Any, make: MakeCollector) -> None:
        self._environment = environment
        self._runner: MasterRunner = environment.runner
        self._make = make
        self._own = membership.own(environment.parsed_locustfiles, target_names.own().adapter)
        self._workers = self._runner.clients = Admitted(self._runner.clients)
        self._refused: dict[str, str] = {}  # name -> why
        self._parts = _Parts(0)
        self._watcher: gevent.Greenlet | None = None
        for message, listener in (
            ("gaia_clock", self._answer_clock), ("gaia_hello", self._introduced), ("gaia_prepared", self._prepared),
            ("gaia_broken", self._broken),
        ):  # fmt: skip
            self._runner.register_message(message, listener)
        environment.events.test_start.add_listener(self._start)
        environment.events.test_stopping.add_listener(self._stopping)
        environment.events.worker_report.add_listener(self._on_report)
        options = environment.parsed_options
        if options.headless or options.autostart:
            environment.process_exit_code = Inconclusive.exit_code  # also of a load that never starts
            self._expect(options)

    def _expect(self, options: Any) -> None:
        """Give up waiting for workers in locust's place: locust would exit with 1, as if the server had failed."""
        patience_s, options.expect_workers_max_wait = options.expect_workers_max_wait, 0
        if patience_s:
            gevent.spawn_later(patience_s, self._give_up_waiting, options.expect_workers, patience_s)

    def _give_up_waiting(self, expected: int, patience_s: int) -> None:
        if self._watcher is None and len(self._workers.ready) < expected:
            self._give_up(self._parts, self._missing(expected, patience_s))
            self._runner.quit()
            sys.exit(Inconclusive.exit_code)

    def _missing(self, expected: int, patience_s: int) -> str:
        """Return which workers joined, which were refused, and how the others are started."""
        joined = [node.id for node in self._workers.ready]
        named = f": {self._workers.names(joined)}" if joined else ""
        refused = "".join(f"; refused {name}: {why}" for name, why in self._refused.items())
        host = self._runner.master_bind_host
        where = f"{self._own.host if host in ('*', '0.0.0.0') else host}:{self._runner.master_bind_port}"  # noqa: S104
        return (
            f"{len(joined)} of {expected} workers joined within {patience_s} s{named}{refused}; "
            f"start the others with `gaia load worker --master {where}`"
        )

    def _answer_clock(self, msg: Any, **_: Any) -> None:
        times = {"monotonic_s": time.monotonic(), "wall_s": time.time()}
        self._runner.send_message("gaia_clock", times, msg.node_id)

    def _introduced(self, msg: Any, **_: Any) -> None:
        """Admit a worker, or refuse it by name."""
        process = LoadProcess.from_json(msg.data["process"])
        why = process.why_refused(self._own) or (_LATE if self._watcher and not self._watcher.dead else None)
        if why is None:
            self._workers.clocks[msg.node_id] = ClockDifference(**msg.data["clock"])
            self._workers.admitted[msg.node_id] = process
            return
        print(printable(f"refused the worker {process.name}: {why}"), file=sys.stderr, flush=True)  # noqa: T201
        self._refused[process.name] = why
        self._workers.pop(msg.node_id, None)  # locust would end the load when it leaves
        self._runner.send_message("gaia_refused", {"why": why}, msg.node_id)

    def _start(self, **_: Any) -> None:
        self._environment.process_exit_code = Inconclusive.exit_code
        self._parts = _Parts(self._runner.worker_count)
        self._watcher = gevent.spawn(self._watch, self._parts)

    def _prepared(self, msg: Any, **_: Any) -> None:
        parts, plan = self._parts, LoadPlan.from_json(msg.data["plan"])
        mix = _outline(plan.mix)
        if parts.order and mix != parts.mix:
            names = self._workers.names([parts.order[0], msg.node_id])
            parts.reason = parts.reason or f"the workers would send different mixes: {names}; start all of them alike"
            return
        parts.mix = mix
        parts.order.append(msg.node_id)
        parts.urls.append(plan.url)
        if len(parts.order) < parts.expected:
            return
        plan = replace(plan, workers=parts.expected)
        clocks = [self._workers.clocks[worker] for worker in parts.order]
        parts.collector = self._make(plan)
        parts.collector.by_worker = [self._totals(*each) for each in zip(parts.order, parts.urls, strict=True)]
        started_s = time.monotonic() + _LEAD_S + 4 * max(clock.uncertain_s for clock in clocks)
        if all(self._workers.admitted[worker].machine == self._own.machine for worker in parts.order):
            parts.collector.started_s = started_s  # this machine's stalls are theirs
        parts.ends_s = started_s + plan.window_s + _BEYOND_S
        for worker in parts.order:
            self._runner.send_message("gaia_begin", {"order": parts.order, "started_s": started_s}, worker)

    def _totals(self, worker: str, url: str) -> WorkerTotals:
        process, clock = self._workers.admitted[worker], self._workers.clocks[worker]
        return WorkerTotals(process.name, process.version, url, clock.wall_ahead_s, clock.uncertain_s)

    def _on_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        parts = self._parts
        if parts.collector is None or client_id not in parts.order:
            return
        try:
            for document in data.get(KEY, ()):
                parts.collector.second(parts.order.index(client_id), Second.from_json(document))
        except Exception as error:  # noqa: BLE001 - locust would log it and continue without these seconds
            self._parts.reason = parts.reason or str(error) or repr(error)

    def _broken(self, msg: Any, **_: Any) -> None:
        self._parts.reason = self._parts.reason or f"{self._workers.names([msg.node_id])}: {msg.data['reason']}"

    def _watch(self, parts: _Parts) -> None:
        """Wait until the load is reported in full, or can no longer be."""
        while not (parts.collector and parts.collector.exit_code is not None) and not parts.reason:
            gevent.sleep(_WATCH_S)
            parts.reason = parts.reason or self._loss(parts)
        stop(self._environment)

    def _loss(self, parts: _Parts) -> str:
        alive = {c.id for c in self._workers.all if c.state != STATE_MISSING and c.id in self._workers.admitted}
        lost = [worker for worker in parts.order if worker not in alive]
        if lost:
            were, they = ("was", "it") if len(lost) == 1 else ("were", "they")
            names = self._workers.names(lost)
            return f"{len(lost)} of {parts.expected} workers {were} lost: {names}: what {they} sent is not known"
        if len(alive) < parts.expected:
            gone = self._workers.names([each for each in self._workers.admitted if each not in alive])
            return f"{parts.expected - len(alive)} of {parts.expected} workers left before the load started: {gone}"
        return "the workers did not report in time" if time.monotonic() > parts.ends_s else ""

    def _give_up(self, parts: _Parts, reason: str) -> None:
        parts.collector = parts.collector or self._make(UNKNOWN)
        parts.collector.give_up(reason)

    def _stopping(self, **_: Any) -> None:
        parts = self._parts
        if not (parts.collector and parts.collector.exit_code is not None):
            self._give_up(parts, parts.reason or self._loss(parts) or "the load was stopped early")
        if parts.collector:
            decide(self._environment, parts.collector)


def _outline(mix: Mix | None) -> list[tuple[str, str, float]] | None:
    """Return what is alike in the mixes of all workers; paths differ, because each has a rule of its own."""
    return [(each.method, each.label, each.weight) for each in mix.requests] if mix else None
