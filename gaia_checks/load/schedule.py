"""When requests are due. Pure: every arrival is a number of seconds after the start.

The schedule never looks at the server: a slow answer delays no later arrival. That is what makes
the load open loop, and its latencies true (coordinated omission is what a closed loop measures instead).
"""

import itertools
import random
from collections.abc import Callable, Iterator

Schedule = Callable[[float, int], Iterator[float]]
"""(rate per second, seed) -> due times in seconds after the start, without end."""


def constant(rate_per_s: float, seed: int = 0) -> Iterator[float]:
    """Yield `i / rate`: computed anew for each, so that no error adds up."""
    del seed  # nothing is drawn
    return (index / rate_per_s for index in itertools.count())


def poisson(rate_per_s: float, seed: int = 0) -> Iterator[float]:
    """Yield arrivals of independent users: exponential gaps, the same ones for the same seed."""
    gaps = random.Random(seed)  # noqa: S311 - arrivals, not secrets
    due_s = 0.0
    while True:
        due_s += gaps.expovariate(rate_per_s)
        yield due_s


ARRIVALS: dict[str, Schedule] = {"constant": constant, "poisson": poisson}
"""The kinds of arrivals by name."""


def part(due_s: Iterator[float], worker: int, workers: int) -> Iterator[tuple[int, float]]:
    """Yield (index, due time) of every arrival that falls to one of several workers: all together send each once."""
    return itertools.islice(enumerate(due_s), worker, None, workers)


def until(arrivals: Iterator[tuple[int, float]], window_s: float) -> Iterator[tuple[int, float]]:
    """Yield the arrivals that are due before the window ends."""
    return itertools.takewhile(lambda arrival: arrival[1] < window_s, arrivals)
