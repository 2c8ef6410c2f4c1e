"""Requests that arrive at a fixed rate, whatever the server does, each on a connection of its own."""

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import uvloop

from benchmarks.limiter.racing import Seen, connected, send


class Arrivals:
    """Sends a request of the next user of `keys` every 1 / `rate_per_s` seconds while the `with` block runs."""

    def __init__(self, port: int, keys: Iterator[str], *, rate_per_s: float) -> None:
        self.seen: list[Seen] = []  # sent, with or without a response
        self.refused_s: list[float] = []  # when nothing listened; the limiter cannot have counted these
        self._port, self._keys, self._rate_per_s = port, keys, rate_per_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="arrivals")
        self._broken: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join()
        if self._broken is not None:
            raise self._broken

    @property
    def sent(self) -> int:
        """The number of requests that have ended so far."""
        return len(self.seen) + len(self.refused_s)

    def lost_between(self, start_s: float, end_s: float) -> int:
        """Return how many requests that were sent in this time, on the monotonic clock, had no decision."""
        without = [one.sent_s for one in self.seen.copy() if one.admitted is None] + self.refused_s
        return sum(start_s <= at_s < end_s for at_s in without)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._arrive())
        except BaseException as error:  # noqa: BLE001 - raised again on leaving `with`
            self._broken = error

    async def _arrive(self) -> None:
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
