"""Stock locust, as in its documentation: a locustfile that prints its result and its CPU use at the end.

BENCH_USERS users that each send BENCH_RATE / BENCH_USERS requests a second (`constant_throughput`), or, with a rate of
0, as fast as they can. BENCH_CLIENT chooses between HttpUser and FastHttpUser.
"""

import json
import os
import time
from typing import Any

from locust import FastHttpUser, HttpUser, constant, constant_throughput, events, task

RATE = float(os.environ["BENCH_RATE"])
USERS = int(os.environ["BENCH_USERS"])
_BASE: Any = {"HttpUser": HttpUser, "FastHttpUser": FastHttpUser}[os.environ["BENCH_CLIENT"]]
_PAUSE = constant_throughput(RATE / USERS) if RATE else constant(0)


class Reader(_BASE):  # type: ignore[misc] # chosen above
    """Requests the health endpoint."""

    wait_time = _PAUSE

    @task
    def health(self) -> None:
        """Send one request."""
        self.client.get("/health")


_started: dict[str, float] = {}


def _clear(**_: Any) -> None:
    _started.update(cpu_s=time.process_time(), wall_s=time.monotonic())


def _print_result(environment: Any, **_: Any) -> None:
    total = environment.stats.total
    result = {
        "percentiles_ms": {str(p): total.get_response_time_percentile(p / 100) for p in (50.0, 90.0, 99.0, 99.9)},
        "requests": total.num_requests,
        "failures": total.num_failures,
        "cpu_s": time.process_time() - _started["cpu_s"],
        "wall_s": time.monotonic() - _started["wall_s"],
    }
    print("BENCH " + json.dumps(result), flush=True)


_hooks: Any = events
_hooks.spawning_complete.add_listener(_clear)
_hooks.test_stopping.add_listener(_print_result)
