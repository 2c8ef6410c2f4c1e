"""Looking again and again: when, and how much of the time was really looked at."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

_BEAT_S = 0.1
_HOLE = 5
"""After so many intervals without a sample, the time between was not looked at."""


async def ticks(interval_s: float, window_s: float, told: asyncio.Event) -> AsyncIterator[float]:
    """Yield the seconds since the first tick: at 0, at every multiple of `interval_s`, and at the end of the window.

    A tick that could not be taken in time is left out. The last one is at or behind `window_s`, unless we are `told`
    to end before.
    """
    loop = asyncio.get_running_loop()
    began, t = loop.time(), 0.0
    yield t
    while t < window_s:
        due = next_due(t, interval_s, window_s)
        if await told_within(told, began + due - loop.time()):
            return
        t = max(due, loop.time() - began)
        yield t


async def told_within(told: asyncio.Event, delay_s: float) -> bool:
    """Wait for `delay_s`, but no longer than until we are told to end; return whether we are."""
    try:
        async with asyncio.timeout(delay_s):
            await told.wait()
    except TimeoutError:
        return False
    return True


def next_due(t_s: float, interval_s: float, window_s: float) -> float:
    """Return when the tick after one at `t_s` is due. Pure."""
    return min((t_s // interval_s + 1) * interval_s, window_s)


@dataclass(slots=True)
class Coverage:
    """How long was looked: the time between samples, unless a hole was between them. Pure."""

    interval_s: float
    covered_s: float = 0.0
    n: int = 0
    _last_s: float | None = None

    def add(self, t_s: float) -> None:
        """Count a sample that was taken at `t_s`."""
        gap_s = t_s - self._last_s if self._last_s is not None else 0.0
        self.covered_s += gap_s if gap_s <= _HOLE * self.interval_s else 0.0
        self.n += 1
        self._last_s = t_s


@dataclass(slots=True)
class HeldUp:
    """How long this process itself was held up, at most: what it read late meanwhile may have come in time."""

    longest_s: float = 0.0

    async def watch(self) -> None:
        """Look until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _BEAT_S
            await asyncio.sleep(_BEAT_S)
            self.longest_s = max(self.longest_s, loop.time() - due)
