"""Stores what this process measures of itself, for the alert rules of all processes."""

import os
import time
from collections import deque
from uuid import uuid4

from gaia_server.app_state import Server
from gaia_server.metrics import resident_bytes
from gaia_server.storage import server_measurements

MEASURE_S = 2.0
WINDOW_S = 60.0
"""How long requests and errors are counted for the error rate."""


class Measurer:
    """Stores what this process measures of itself, for the rules of all processes."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._row = f"{server.instance}:{uuid4()}"  # two containers may have the same host name and process id
        self._counts: deque[tuple[float, int, int]] = deque([(time.monotonic(), 0, 0)])

    async def write(self) -> None:
        """Replace this process's row. Raises Unavailable."""
        server, now = self._server, time.monotonic()
        self._counts.append((now, server.requests, server.errors))
        while now - self._counts[1][0] >= WINDOW_S:
            self._counts.popleft()
        _, requests, errors = self._counts[0]
        use = server.store.pool_use
        await server_measurements.put(
            server.store,
            {
                "instance": self._row,
                "memory_bytes": resident_bytes(),
                "pool_in_use": use.in_use,
                "pool_max": use.maximum,
                "load_percent": round(100 * os.getloadavg()[0] / (os.cpu_count() or 1)),
                "requests": server.requests - requests,
                "errors": server.errors - errors,
            },
        )
