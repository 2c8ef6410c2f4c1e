"""What an attack costs the server under test: its memory, and how long others wait for `/livez` meanwhile."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

import psutil

EVERY_S = 0.05
MB = 1024 * 1024


@dataclass
class Cost:
    """Observations of one server while something else happens."""

    before_mb: float
    peak_mb: float = 0.0
    after_mb: float = 0.0
    waits_ms: list[float] = field(default_factory=list)
    unanswered: int = 0

    def row(self) -> str:
        """Return the observations as one line."""
        waits = sorted(self.waits_ms) or [float("nan")]
        p99 = waits[min(len(waits) - 1, len(waits) * 99 // 100)]
        memory = f"{self.before_mb:6.1f} {self.peak_mb:6.1f} {self.after_mb:6.1f} MB"
        median = waits[len(waits) // 2]
        return f"{memory}  /livez {median:7.1f} {p99:7.1f} {waits[-1]:7.1f} ms  {len(waits)} / {self.unanswered}"


HEAD = "before   peak  after RSS        median     p99     max      answered / not"


@contextmanager
def watched(pid: int, port: int) -> Iterator[Cost]:
    """Observe the server during the block."""
    process = psutil.Process(pid)
    cost = Cost(before_mb=process.memory_info().rss / MB)
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(process, port, cost, over))
    thread.start()
    try:
        yield cost
    finally:
        over.set()
        thread.join()
        cost.after_mb = process.memory_info().rss / MB


def _watch(process: psutil.Process, port: int, cost: Cost, over: threading.Event) -> None:
    while not over.wait(EVERY_S):
        cost.peak_mb = max(cost.peak_mb, process.memory_info().rss / MB)
        started = time.perf_counter()
        if _answers(port):
            cost.waits_ms.append((time.perf_counter() - started) * 1000)
        else:
            cost.unanswered += 1


def _answers(port: int) -> bool:
    """Request /livez on a connection of its own."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
