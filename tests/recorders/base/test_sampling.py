"""Sample times and their coverage."""

import asyncio
import itertools
import time

import pytest

from gaia_checks.recorders.base.sampling import Coverage, EventLoopDelay, next_due, ticks


def taken(interval_s: float, window_s: float, busy_s: float = 0.0) -> list[float]:
    """The ticks of a whole window."""

    async def take() -> list[float]:
        found = []
        async for t in ticks(interval_s, window_s, asyncio.Event()):
            found.append(t)
            await asyncio.sleep(busy_s)
        return found

    return asyncio.run(take())


def test_the_last_tick_is_at_the_end_of_the_window_or_behind_it() -> None:
    """The last tick is at or after the end of the window."""
    found = taken(0.1, 0.25)
    assert found == sorted(found)
    assert found[0] == 0.0
    assert len(found) == 4
    assert found[-1] >= 0.25


def test_a_stop_ends_the_wait_for_a_tick() -> None:
    """A stop in the middle of a long interval takes effect at once."""

    async def take() -> list[float]:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.05, stop.set)
        return [t async for t in ticks(60, 600, stop)]

    started = time.monotonic()
    assert asyncio.run(take()) == [0.0]
    assert time.monotonic() - started < 5


def test_ticks_that_were_missed_are_not_made_up_for() -> None:
    """A sample that takes longer than the interval does not lead to a burst."""
    found = taken(0.02, 0.3, busy_s=0.1)
    assert len(found) <= 4
    assert all(later - earlier > 0.09 for earlier, later in itertools.pairwise(found[:-1]))


@pytest.mark.parametrize(
    ("t_s", "due_s"),
    [(0, 2), (0.1, 2), (2, 4), (2.3, 4), (7.9, 8), (9, 9.5), (8, 9.5)],  # every 2 s, for 9.5 s
)
def test_a_late_tick_does_not_move_the_next(t_s: float, due_s: float) -> None:
    """Ticks stay on their multiples, and the last one is at the end of the window."""
    assert next_due(t_s, 2, 9.5) == due_s


def test_a_window_of_nothing_has_one_tick() -> None:
    """The first tick is at 0, for any window."""
    assert taken(1, 0) == [0.0]


@pytest.mark.parametrize(
    ("samples", "covered_s"),
    [
        ([], 0),
        ([0], 0),
        ([0, 1, 2, 3], 3),
        ([0, 1, 4, 5], 5),  # a slow moment
        ([0, 1, 2, 30, 31], 3),  # half a minute without a sample was not looked at
    ],
)
def test_a_hole_is_not_covered(samples: list[float], covered_s: float) -> None:
    """Holes between samples do not count as observed."""
    coverage = Coverage(1.0)
    for t in samples:
        coverage.add(t)
    assert coverage.covered_s == covered_s
    assert coverage.n == len(samples)


def test_the_own_delay_is_measured() -> None:
    """A blocked event loop is measured as its own delay."""

    async def block() -> float:
        own_delay = EventLoopDelay()
        watching = asyncio.create_task(own_delay.watch())
        await asyncio.sleep(0)
        time.sleep(0.4)  # noqa: ASYNC251 - the test must block the loop
        await asyncio.sleep(0.01)
        watching.cancel()
        return own_delay.longest_s

    assert asyncio.run(block()) > 0.25
