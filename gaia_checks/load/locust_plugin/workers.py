"""Splits a load over processes: one locust process alone, or locust's workers under its master.

A worker reports that it is prepared (`gaia_prepared`). When all are, the master sends them their parts and the time at
which the common schedule starts (`gaia_begin`). Every second travels to the master in locust's own reports, with
histograms encoded without loss. A worker that fails reports it (`gaia_broken`); the master detects one that disappears.
Several machines need NTP: a worker's requests are due by its own clock, but its latencies do not depend on it.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import gevent
from gevent.event import AsyncResult
from locust.dispatch import UsersDispatcher
from locust.runners import STATE_MISSING, MasterRunner, WorkerRunner
from locust.stats import CSV_STATS_INTERVAL_SEC

from gaia_checks.errors import Inconclusive
from gaia_checks.load.plan.load_plan import LoadPlan
from gaia_checks.load.results.collector import Collector
from gaia_checks.load.results.per_second import REPLY_LIMIT_S, Second

_KEY = "gaia_load"  # of this package's data in locust's reports
_LEAD_S = 0.5  # from the master's message to the start
_SHORT_LEAD_S = 0.2  # the same without a network
_CLOCKS_S = 30.0  # a start farther away than this by a worker's clock means that its clock is wrong
_WATCH_S = 0.5
_CSV_S = 0.5  # for writing a row
_BEYOND_S = REPLY_LIMIT_S + 20.0  # for the last responses and the last reports

_LATE = "a worker joined while the load was running; set --expect-workers to the number of workers"
_UNKNOWN = LoadPlan("", "1", 0.0)  # of a load that stopped before its plan was known
MakeCollector = Callable[[LoadPlan], Collector]


class OnePerWorker(UsersDispatcher):
    """Gives every worker one user, whatever --users says: --rate sets the load."""

    def new_dispatch(self, target_user_count: int, spawn_rate: float, user_classes: Any = None) -> None:
        """Start dispatching users."""
        del spawn_rate
        workers = len(self._worker_nodes)
        super().new_dispatch(min(target_user_count, 1) * workers, workers, user_classes)


class Role:
    """The role of a sending process: provides its part of the load and collects its counts."""

    user: Any = None  # the user that is currently sending

    def __init__(self, environment: Any) -> None:
        environment.events.quitting.add_listener(lambda **_: self.user and self.user.cut_short())
        environment.events.test_stopping.add_listener(lambda **_: self.user and self.user.wind_up())


def role_of(environment: Any) -> "Alone | Worker":
    """Return the role of this locust process."""
    role: Alone | Worker = environment.load_role
    return role


class Alone(Role):
    """The only process of a load."""

    worker = 0
    workers = 1

    def __init__(self, environment: Any, make: MakeCollector) -> None:
        super().__init__(environment)
        self._environment = environment
        self._make = make
        self._collector: Collector | None = None
        environment.events.test_start.add_listener(self._start)

    def _start(self, **_: Any) -> None:
        self._collector = None
        self._environment.process_exit_code = Inconclusive.exit_code

    def meet(self, plan: LoadPlan) -> tuple[LoadPlan, float]:
        """Return the part to send and its start on the monotonic clock."""
        self._collector = self._make(plan)
        started_s = self._collector.started_s = time.monotonic() + _SHORT_LEAD_S
        return plan, started_s

    def second(self, second: Second) -> None:
        """Collect one second."""
        if self._collector is not None:
            self._collector.second(0, second)

    def broken(self, reason: str) -> None:
        """Finish the load without a result."""
        self._collector = self._collector or self._make(_UNKNOWN)
        self._collector.give_up(reason)

    def over(self) -> None:
        """Stop locust, or only the test when its web page is open."""
        if self._collector is not None:
            decide(self._environment, self._collector)
        gevent.spawn(stop, self._environment)


class Worker(Role):
    """One of locust's workers."""

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._environment = environment
        self._runner: WorkerRunner = environment.runner
        self._start: AsyncResult = AsyncResult()
        self._unreported: list[dict[str, Any]] = []
        self._runner.register_message("gaia_begin", lambda msg, **_: self._start.set(msg.data))
        environment.events.report_to_master.add_listener(self._report)

    @property
    def worker(self) -> int:
        """A number that is unique among the workers."""
        return int(self._runner.worker_index)

    @property
    def workers(self) -> int:
        """The expected number of workers."""
        return int(self._environment.parsed_options.expect_workers)

    def meet(self, plan: LoadPlan) -> tuple[LoadPlan, float]:
        """Wait for the other workers; return the part to send and its start on the monotonic clock."""
        self._unreported = []
        self._start = AsyncResult()
        self._runner.send_message("gaia_prepared", {"plan": {**plan.to_json(), "headers": {}}})
        begin = self._start.get()
        ahead_s = begin["at_s"] - time.time()
        if abs(ahead_s) > _CLOCKS_S:
            raise ValueError(f"this worker's clock is {-ahead_s:.0f} s off the master's; let NTP set both")
        order = begin["order"]
        part = replace(plan, worker=order.index(self._runner.client_id), workers=len(order))
        return part, time.monotonic() + ahead_s

    def second(self, second: Second) -> None:
        """Queue one second for locust's next report."""
        self._unreported.append(second.to_json())

    def broken(self, reason: str) -> None:
        """Report a failure of this worker to the master."""
        self._runner.send_message("gaia_broken", {"reason": reason})

    def over(self) -> None:
        """Do nothing: the master stops its workers."""

    def _report(self, data: dict[str, Any], **_: Any) -> None:
        data[_KEY], self._unreported = self._unreported, []


@dataclass
class _Parts:
    """The master's state of one load."""

    expected: int
    order: list[str] = field(default_factory=list)  # ids of the workers that are prepared
    collector: Collector | None = None
    reason: str = ""  # why there will be no result
    ends_s: float = float("inf")  # deadline of the last report, on the monotonic clock

    @property
    def started(self) -> bool:
        """Whether the workers have received their parts."""
        return self.collector is not None


class Master:
    """The master: waits for all workers, distributes the parts, merges the reports."""

    def __init__(self, environment: Any, make: MakeCollector) -> None:
        self._environment = environment
        self._runner: MasterRunner = environment.runner
        self._make = make
        self._parts = _Parts(0)
        self._watcher: gevent.Greenlet | None = None
        self._runner.register_message("gaia_prepared", self._prepared)
        self._runner.register_message("gaia_broken", self._broken)
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
        connected = len(self._runner.clients.ready)
        if self._watcher is None and connected < expected:
            self._give_up(self._parts, f"{connected} of {expected} workers connected within {patience_s} s")
            self._runner.quit()
            sys.exit(Inconclusive.exit_code)

    def _start(self, **_: Any) -> None:
        self._environment.process_exit_code = Inconclusive.exit_code
        self._parts = _Parts(self._runner.worker_count)
        self._watcher = gevent.spawn(self._watch, self._parts)

    def _prepared(self, msg: Any, **_: Any) -> None:
        parts = self._parts
        if parts.started:
            parts.reason = parts.reason or _LATE
            return
        parts.order.append(msg.node_id)
        if len(parts.order) < parts.expected:
            return
        plan = replace(LoadPlan.from_json(msg.data["plan"]), workers=parts.expected)
        parts.collector = self._make(plan)
        parts.ends_s = time.monotonic() + _LEAD_S + plan.window_s + _BEYOND_S
        begin = {"order": parts.order, "at_s": time.time() + _LEAD_S}
        for worker in parts.order:
            self._runner.send_message("gaia_begin", begin, worker)

    def _on_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        parts = self._parts
        if parts.collector is None or client_id not in parts.order:
            return
        try:
            for document in data.get(_KEY, ()):
                parts.collector.second(parts.order.index(client_id), Second.from_json(document))
        except Exception as error:  # noqa: BLE001 - locust would log it and continue without these seconds
            parts.reason = parts.reason or str(error) or repr(error)

    def _broken(self, msg: Any, **_: Any) -> None:
        self._parts.reason = self._parts.reason or str(msg.data["reason"])

    def _watch(self, parts: _Parts) -> None:
        """Wait until the load is reported in full, or can no longer be."""
        while not (parts.collector and parts.collector.exit_code is not None) and not parts.reason:
            gevent.sleep(_WATCH_S)
            parts.reason = parts.reason or self._loss(parts)
        stop(self._environment)

    def _loss(self, parts: _Parts) -> str:
        alive = {c.id for c in self._runner.clients.all if c.state != STATE_MISSING}
        lost = [worker for worker in parts.order if worker not in alive]
        if lost:
            return f"{len(lost)} of {parts.expected} workers were lost: what they sent is not known"
        if len(alive) < parts.expected:
            return f"{parts.expected - len(alive)} of {parts.expected} workers were lost before the load started"
        return "the workers did not report in time" if time.monotonic() > parts.ends_s else ""

    def _give_up(self, parts: _Parts, reason: str) -> None:
        parts.collector = parts.collector or self._make(_UNKNOWN)
        parts.collector.give_up(reason)

    def _stopping(self, **_: Any) -> None:
        parts = self._parts
        if not (parts.collector and parts.collector.exit_code is not None):
            self._give_up(parts, parts.reason or "the load was stopped early")
        if parts.collector:
            decide(self._environment, parts.collector)


def decide(environment: Any, collector: Collector) -> None:
    """Set locust's exit code; leave its own when no threshold was given and nothing went wrong."""
    code = Inconclusive.exit_code if collector.exit_code is None else collector.exit_code
    environment.process_exit_code = code if code or collector.limits else None


def stop(environment: Any) -> None:
    """Stop locust, or only the test when its web page is open."""
    options = environment.parsed_options
    if options.csv_prefix:
        gevent.sleep(
            CSV_STATS_INTERVAL_SEC + _CSV_S
        )  # locust writes these files regularly, and not once more at its end
    if not options.headless:
        environment.runner.stop()
        if not options.autostart or options.autoquit < 0:
            return
        gevent.sleep(options.autoquit)
        environment.web_ui.stop()
    environment.runner.quit()
