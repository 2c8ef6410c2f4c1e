"""Stock locust, as its documentation has it: a locustfile that says at its end what it has seen and used.

BENCH_USERS users that each ask BENCH_RATE / BENCH_USERS times a second (`constant_throughput`), or, with a rate of 0,
as fast as they can. BENCH_CLIENT chooses between HttpUser and FastHttpUser.
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
    """Asks for the health."""

    wait_time = _PAUSE

    @task
    def health(self) -> None:
        """Ask once."""
        self.client.get("/health")


_began: dict[str, float] = {}


def _clear(**_: Any) -> None:
    _began.update(cpu_s=time.process_time(), wall_s=time.monotonic())


def _tell(environment: Any, **_: Any) -> None:
    total = environment.stats.total
    seen = {
        "percentiles_ms": {str(p): total.get_response_time_percentile(p / 100) for p in (50.0, 90.0, 99.0, 99.9)},
        "requests": total.num_requests,
        "failures": total.num_failures,
        "cpu_s": time.process_time() - _began["cpu_s"],
        "wall_s": time.monotonic() - _began["wall_s"],
    }
    print("BENCH " + json.dumps(seen), flush=True)


_hooks: Any = events
_hooks.spawning_complete.add_listener(_clear)
_hooks.test_stopping.add_listener(_tell)
