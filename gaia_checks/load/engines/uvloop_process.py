"""The precise engine inside locust: a child process that sends a part of the load and reports every second.

Its requests enter locust's statistics, web page and CSV files once a second, by route. Locust's `request` event is not
fired per request, because that makes an engine slow.
"""

import json
import subprocess
import sys
import time
from typing import Any, cast

from locust.stats import StatsEntry, StatsError, bucket_response_time

from gaia_checks.load.plan.load_plan import LoadPlan
from gaia_checks.load.results.per_second import Listener, Route, Second


class EngineProcess:
    """Sends a part of a load from a child process."""

    def __init__(self, listener: Listener, environment: Any) -> None:
        """Start the process now, so that it is ready when the schedule starts."""
        self._listener = listener
        self._environment = environment
        argv = [sys.executable, "-m", "gaia_checks.load.engines.uvloop_engine"]
        pipe = subprocess.PIPE
        self._process = cast("Any", subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True))
        if self._process.stdout.readline() != "ready\n":
            self._raise()

    def run(self, plan: LoadPlan, started_s: float) -> None:
        """Send every arrival that is due within the window and wait until all have finished. Raises RuntimeError."""
        self._process.stdin.write(json.dumps({"plan": plan.to_json(), "started_s": started_s}) + "\n")
        self._process.stdin.flush()
        second = None
        for line in self._process.stdout:
            document = json.loads(line)
            if "broken" in document:
                raise RuntimeError(document["broken"])
            second = Second.from_json(document)
            self._listener(second)
            self._update_locust_statistics(second)
        if self._process.wait() or second is None or not second.last:
            self._raise()

    def interrupt(self) -> None:
        """Drop the requests in flight."""
        self._process.kill()

    def _raise(self) -> None:
        self._process.kill()
        raise RuntimeError(f"the precise engine stopped early, with exit code {self._process.wait()}")

    def _update_locust_statistics(self, second: Second) -> None:
        stats = self._environment.stats
        for name, route in second.routes.items():
            method, _, label = name.partition(" ")
            entry = _entry(stats, method, label, route)
            stats.get(label, method).extend(entry)
            stats.total.extend(entry)
            if route.failed:
                error = StatsError(method, label, "see the notes of the load")
                stats.errors.setdefault(name, error).occurrences += route.failed


def _entry(stats: Any, method: str, label: str, route: Route) -> Any:
    """Return one second as a locust statistics entry, with times rounded as locust rounds them."""
    entry: Any = StatsEntry(stats, label, method)
    second = int(time.time())
    buckets = list(route.latency.buckets_ms())
    entry.num_requests, entry.num_failures, entry.last_request_timestamp = route.done, route.failed, time.time()
    entry.num_reqs_per_sec, entry.num_fail_per_sec = {second: route.done}, {second: route.failed}
    entry.total_response_time = sum(value_ms * count for value_ms, count in buckets)
    entry.min_response_time, entry.max_response_time = buckets[0][0], buckets[-1][0]
    for value_ms, count in buckets:
        rounded = bucket_response_time(value_ms)
        entry.response_times[rounded] = entry.response_times.get(rounded, 0) + count
    return entry
