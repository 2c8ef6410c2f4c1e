"""Periodic sampling: when samples are due, and how much of the window they cover."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

_BEAT_S = 0.1
_HOLE_INTERVALS = 5
"""After this many intervals without a sample, the time between counts as not observed."""


async def ticks(interval_s: float, window_s: float, stop: asyncio.Event) -> AsyncIterator[float]:
    """Yield the seconds since the first tick: at 0, at every multiple of `interval_s`, and at the end of the window.

    A tick that cannot be taken in time is skipped. The last one is at or after `window_s`, unless `stop` is set before.
    """
    loop = asyncio.get_running_loop()
    start, t = loop.time(), 0.0
    yield t
    while t < window_s:
        due = next_due(t, interval_s, window_s)
        if await stopped_within(stop, start + due - loop.time()):
            return
        t = max(due, loop.time() - start)
        yield t


async def stopped_within(stop: asyncio.Event, delay_s: float) -> bool:
    """Wait for `delay_s` or until `stop`, whichever comes first; return whether it was set."""
    try:
        async with asyncio.timeout(delay_s):
            await stop.wait()
    except TimeoutError:
        return False
    return True


def next_due(t_s: float, interval_s: float, window_s: float) -> float:
    """Return when the tick after one at `t_s` is due. Pure."""
    return min((t_s // interval_s + 1) * interval_s, window_s)


@dataclass(slots=True)
class Coverage:
    """The observed time: the time between samples, without holes. Pure."""

    interval_s: float
    covered_s: float = 0.0
    n: int = 0
    _last_s: float | None = None

    def add(self, t_s: float) -> None:
        """Count a sample that was taken at `t_s`."""
        gap_s = t_s - self._last_s if self._last_s is not None else 0.0
        self.covered_s += gap_s if gap_s <= _HOLE_INTERVALS * self.interval_s else 0.0
        self.n += 1
        self._last_s = t_s


@dataclass(slots=True)
class EventLoopDelay:
    """The longest delay of this process's own event loop: data that it read late may have arrived in time."""

    longest_s: float = 0.0

    async def watch(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _BEAT_S
            await asyncio.sleep(_BEAT_S)
            self.longest_s = max(self.longest_s, loop.time() - due)
