"""Requests that arrive at a fixed rate, whatever the server does, each on a connection of its own."""

import asyncio
import itertools
import time
from collections.abc import Iterator

from benchmarks.limiter.racing import LoopThread, Seen, connected, send


class Arrivals(LoopThread):
    """Sends a request of the next user of `keys` every 1 / `rate_per_s` seconds while the `with` block runs."""

    def __init__(self, port: int, keys: Iterator[str], *, rate_per_s: float) -> None:
        super().__init__("arrivals")
        self.seen: list[Seen] = []  # sent, with or without a response
        self.refused_s: list[float] = []  # when nothing listened; the limiter cannot have counted these
        self._port, self._keys, self._rate_per_s = port, keys, rate_per_s

    @property
    def sent(self) -> int:
        """The number of requests that have ended so far."""
        return len(self.seen) + len(self.refused_s)

    def lost_between(self, start_s: float, end_s: float) -> int:
        """Return how many requests that were sent in this time, on the monotonic clock, had no decision."""
        without = [one.sent_s for one in self.seen.copy() if one.admitted is None] + self.refused_s
        return sum(start_s <= at_s < end_s for at_s in without)

    async def _main(self) -> None:
        start_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                await asyncio.sleep(max(start_s + number / self._rate_per_s - time.monotonic(), 0))
                if self._stopped.is_set():
                    return
                group.create_task(self._request(next(self._keys)))

    async def _request(self, key: str) -> None:
        at_s = time.monotonic()
        streams = await connected(self._port)
        if streams is None:
            self.refused_s.append(at_s)
            return
        try:
            observation, _ = await send(streams, key)
            self.seen.append(observation)
        finally:
            streams[1].close()
