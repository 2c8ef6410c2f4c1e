"""What a running server holds: descriptors, threads, processes, database sessions, WebSocket clients, memory."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import httpx
import psutil
import psycopg

from gaia_checks.errors import Inconclusive
from gaia_checks.target import prometheus_text
from gaia_checks.target.responses import METRICS

CLIENTS, POOLED = "gaia_websocket_clients", "gaia_database_pool_connections"

_POLL_S = 0.1
_MB = 1e6
_STEADY = 5  # equal readings in a row
_SESSIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND datname = current_database() AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a server at one moment. Connections in its pool, which may grow and shrink, do not count."""

    counts: Mapping[str, int]  # of the process tree and the database
    memory_mb: float  # private, of the process tree

    def beyond(self, before: "Size") -> dict[str, int]:
        """Return what has been added since `before`."""
        return {
            name: max(0, count - before.counts[name]) for name, count in self.counts.items() if name in before.counts
        }


@dataclass(frozen=True)
class SizeReader:
    """Reads the size of one server."""

    process: psutil.Process
    http: httpx.Client  # of the server
    session: psycopg.Connection  # in its database
    over: threading.Event

    def steady(self, most: int) -> Size:
        """Return the greatest counts of some equal readings in a row, or of all when there are `most`."""
        found: list[Size] = []
        while len(found) < most and (
            len(found) < _STEADY or any(each.counts != found[-1].counts for each in found[-_STEADY:])
        ):
            self._pause()
            found += [size] if (size := self.read()) else []
        return _merged(found[-_STEADY:], max)

    def back(self, before: Size, most: int) -> Size | None:
        """Return the smallest counts until they are as `before`, within `most` readings; None without an answer.

        The server answers a request at each reading, so it had time, however slow this machine is.
        """
        found: list[Size] = []
        for _ in range(most):
            self._pause()
            found += [size] if (size := self.read()) else []
            if found and not any(_merged(found, min).beyond(before).values()):
                break
        return _merged(found, min) if found else None

    def read(self) -> Size | None:
        """Return the current size; None when the server does not answer."""
        try:
            answer = self.http.get(METRICS, headers={"Connection": "close"})
            samples = prometheus_text.read(answer.text).samples
            tree = [self.process, *self.process.children(recursive=True)]
        except (httpx.HTTPError, ValueError, psutil.NoSuchProcess):
            return None
        descriptors, threads, memory = 0, 0, 0
        for each in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                descriptors, threads = descriptors + each.num_fds(), threads + each.num_threads()
                memory += each.memory_full_info().uss
        pooled = int(samples[POOLED][0].value) if POOLED in samples else 0
        row = self.session.execute(_SESSIONS).fetchone()
        counts = {
            "descriptors": descriptors - pooled,
            "threads": threads,
            "processes": len(tree),
            "sessions": (row[0] if row else 0) - pooled,
        }
        clients = {"websocket_clients": int(samples[CLIENTS][0].value)} if CLIENTS in samples else {}
        return Size(counts | clients, memory / _MB)

    def _pause(self) -> None:
        if self.over.wait(_POLL_S):
            raise Inconclusive("the gate was over before the clients had come and gone")


def _merged(sizes: list[Size], choose: Callable[[Iterable[int]], int]) -> Size:
    """Return the smallest or greatest counts, and the newest memory. Raises Inconclusive without any."""
    if not sizes:
        raise Inconclusive("GET /metrics of the rehearsal copy's server was not answered")
    names = set.intersection(*(set(each.counts) for each in sizes))
    return Size({name: choose(each.counts[name] for each in sizes) for name in names}, sizes[-1].memory_mb)
