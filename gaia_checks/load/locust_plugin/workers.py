"""Splits a load over processes: one locust process alone, or locust's workers under its master (`master.py`).

A worker compares clocks with the master (`gaia_clock`) and introduces itself (`gaia_hello`); the master admits it or
refuses it (`gaia_refused`). A worker reports that it is prepared (`gaia_prepared`). When all are, the master sends them
their parts and the time at which the common schedule starts, on its own clock (`gaia_begin`). Every second travels to
the master in locust's own reports, with histograms encoded without loss. A worker that fails reports it
(`gaia_broken`); the master detects one that disappears, and a worker stops when the master has.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import gevent
from gevent.event import AsyncResult
from locust import runners
from locust.runners import WorkerRunner
from locust.stats import CSV_STATS_INTERVAL_SEC

from gaia_checks.errors import ConfigurationError, Inconclusive
from gaia_checks.load.locust_plugin import membership, target_names
from gaia_checks.load.locust_plugin.membership import ClockReading
from gaia_checks.load.plan.load_plan import LoadPlan
from gaia_checks.load.results.collector import Collector
from gaia_checks.load.results.per_second import Second
from gaia_checks.printable import printable

KEY = "gaia_load"  # of this package's data in locust's reports
UNKNOWN = LoadPlan("", "1", 0.0)  # of a load that stopped before its plan was known

_SHORT_LEAD_S = 0.2  # from the decision to the start, without a network
_CSV_S = 0.5  # for writing a row
_EXCHANGES = 8  # the quickest of them says how the clocks differ

runners.MASTER_HEARTBEAT_TIMEOUT = 10  # after locust's 60 s a lost gate's load would still be sent
runners.HEARTBEAT_LIVENESS = 10  # seconds; a machine that stalls for locust's 3 s is not lost

MakeCollector = Callable[[LoadPlan], Collector]


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
        self._collector = self._collector or self._make(UNKNOWN)
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
        self._clock: AsyncResult = AsyncResult()
        self._answer: AsyncResult = AsyncResult()
        self._sends = False
        self._runner.register_message("gaia_clock", lambda msg, **_: self._answer.set(msg.data))
        self._runner.register_message("gaia_begin", lambda msg, **_: self._start.set(msg.data))
        self._runner.register_message("gaia_refused", self._refused)
        environment.events.report_to_master.add_listener(self._report)
        environment.events.test_stopping.add_listener(self._stopped)
        environment.process_exit_code = Inconclusive.exit_code  # until it has sent its part
        gevent.spawn(self._join)

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
        begin, clock = self._start.get(), self._clock.get()
        order = begin["order"]
        self._sends = True
        part = replace(plan, worker=order.index(self._runner.client_id), workers=len(order))
        return part, begin["started_s"] - clock.to_master_s

    def second(self, second: Second) -> None:
        """Queue one second for locust's next report."""
        self._unreported.append(second.to_json())
        if second.last:
            self._environment.process_exit_code = 0

    def broken(self, reason: str) -> None:
        """Report a failure of this worker to the master."""
        self._sends = False
        self._environment.process_exit_code = Inconclusive.exit_code
        self._runner.send_message("gaia_broken", {"reason": reason})

    def over(self) -> None:
        """Do nothing: the master stops its workers."""

    def _join(self) -> None:
        """Compare clocks with the master, and introduce this worker."""
        clock = membership.difference([self._exchange() for _ in range(_EXCHANGES)])
        self._clock.set(clock)
        process = membership.own(self._environment.parsed_locustfiles, target_names.own().adapter)
        self._runner.send_message("gaia_hello", {"process": process.to_json(), "clock": asdict(clock)})

    def _exchange(self) -> ClockReading:
        self._answer = AsyncResult()
        sent_s = time.monotonic()
        self._runner.send_message("gaia_clock", {})
        answer = self._answer.get()
        return ClockReading(sent_s, time.monotonic(), time.time(), answer["monotonic_s"], answer["wall_s"])

    def _refused(self, msg: Any, **_: Any) -> None:
        """Leave the load: the master does not want this worker."""
        why = printable(f"the master refused this worker: {msg.data['why']}")
        print(why, file=sys.stderr, flush=True)  # noqa: T201 - whoever started it reads it there
        self._environment.process_exit_code = ConfigurationError.exit_code
        gevent.spawn(self._runner.quit)

    def _stopped(self, **_: Any) -> None:
        """Note that a master that is still there stopped the load, as a gate does that needs no more of it."""
        heard_s = self._runner.last_heartbeat_timestamp or 0.0
        if self._sends and time.time() - heard_s < runners.MASTER_HEARTBEAT_TIMEOUT:
            self._environment.process_exit_code = 0

    def _report(self, data: dict[str, Any], **_: Any) -> None:
        data[KEY], self._unreported = self._unreported, []


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
