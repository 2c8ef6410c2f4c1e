"""The arrival schedule. Pure: every arrival is a number of seconds after the start.

The schedule is independent of the server: a slow response delays no later arrival. That makes the load open loop and
its latencies correct (a closed loop suffers from coordinated omission instead).

A profile gives the expected number of arrivals until a time, N(t); arrival i is due when N(t) = i. So every due time is
computed from its index, and no error accumulates, whatever steps and ramps the rate takes.
"""

import bisect
import itertools
import math
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

ARRIVALS = ("constant", "poisson")
"""Evenly spaced, or as from independent users."""

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_PHASE = re.compile(rf"(?P<first>{_NUMBER})(?:\.\.(?P<last>{_NUMBER}))?(?:x(?P<length>{_NUMBER})(?P<unit>[smh]))?")
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Phase:
    """An interval with a constant rate (per second), or a linear ramp from `first` to `last`."""

    first: float
    last: float
    length_s: float  # infinity: until the end of the load

    @property
    def arrivals(self) -> float:
        """The expected number of arrivals."""
        return self.first * self.length_s if self.first == self.last else self.length_s * (self.first + self.last) / 2

    def due_s(self, count: float) -> float:
        """Return the seconds into the phase after which `count` arrivals were expected.

        The area below a straight line, first * t + slope * t^2 / 2 = count, solved for t in the form that loses no
        digits when the slope is small (Press et al., Numerical Recipes, 3rd ed., section 5.6).
        """
        if self.first == self.last:
            return count / self.first
        slope = (self.last - self.first) / self.length_s
        root = math.sqrt(max(0.0, self.first * self.first + 2 * slope * count))
        return 2 * count / (self.first + root) if count else 0.0


@dataclass(frozen=True, slots=True)
class Profile:
    """Consecutive phases; after the last one its final rate continues without end."""

    phases: tuple[Phase, ...]
    _starts_s: tuple[float, ...] = field(init=False, repr=False)
    _expected: tuple[float, ...] = field(init=False, repr=False)  # arrivals before each phase

    def __post_init__(self) -> None:
        """Complete the profile. Raises ValueError for an invalid one."""
        for phase in self.phases:
            if not phase.length_s > 0 or not all(0 <= rate < math.inf for rate in (phase.first, phase.last)):
                raise ValueError(f"{phase} has no valid length or rate")
        if not self.phases or not self.phases[-1].last > 0:
            raise ValueError("the last rate of a load must be above 0; give requests per second, e.g. 100")
        final = self.phases[-1]
        if final.length_s != math.inf:
            object.__setattr__(self, "phases", (*self.phases, Phase(final.last, final.last, math.inf)))
        lengths, counts = [p.length_s for p in self.phases[:-1]], [p.arrivals for p in self.phases[:-1]]
        object.__setattr__(self, "_starts_s", tuple(itertools.accumulate(lengths, initial=0.0)))
        object.__setattr__(self, "_expected", tuple(itertools.accumulate(counts, initial=0.0)))

    @property
    def peak_per_s(self) -> float:
        """The highest rate."""
        return max(max(phase.first, phase.last) for phase in self.phases)

    def due_s(self, count: float) -> float:
        """Return the time by which `count` arrivals are expected, in seconds after the start."""
        number = bisect.bisect_right(self._expected, count) - 1
        return self._starts_s[number] + self.phases[number].due_s(count - self._expected[number])


def parse(text: str) -> Profile:
    """Parse a rate, steps and ramps: `100`, `50x30s,100x30s`, `0..200x1m,200`. Raises ValueError.

    A part is a rate, or two rates with `..` between them for a ramp, and its length; the last part may omit the length.
    """
    return Profile(tuple(_phase(part, text) for part in text.split(",")))


def _phase(part: str, text: str) -> Phase:
    found = _PHASE.fullmatch(part.strip())
    if found is None or (found["last"] and not found["length"]):
        raise ValueError(f"{text!r} is not a rate; write 100, or steps 50x30s,100x30s, or a ramp 10..200x1m,200")
    first = float(found["first"])
    length_s = float(found["length"]) * _UNITS_S[found["unit"]] if found["length"] else math.inf
    return Phase(first, float(found["last"] or first), length_s)


def due(profile: Profile, arrivals: str = "constant", seed: int = 0) -> Iterator[float]:
    """Yield due times without end; the same arguments give the same times.

    Poisson arrivals: gaps of a unit process, stretched by the profile (Cinlar, Introduction to Stochastic Processes,
    1975, section 4.7).
    """
    return (profile.due_s(count) for count in (itertools.count() if arrivals == "constant" else _unit_poisson(seed)))


def due_before(profile: Profile, end_s: float, arrivals: str = "constant", seed: int = 0) -> int:
    """Return the number of arrivals that are due before `end_s`."""
    if arrivals == "constant":
        return bisect.bisect_left(range(sys.maxsize), end_s, key=profile.due_s)
    return sum(1 for _ in itertools.takewhile(lambda moment_s: moment_s < end_s, due(profile, arrivals, seed)))


def _unit_poisson(seed: int) -> Iterator[float]:
    gaps, count = random.Random(seed), 0.0  # noqa: S311 - arrivals, not secrets
    while True:
        count += gaps.expovariate(1.0)
        yield count


def part(due_s: Iterator[float], worker: int, workers: int) -> Iterator[tuple[int, float]]:
    """Yield (index, due time) of the arrivals of one worker; all workers together send each arrival once."""
    return itertools.islice(enumerate(due_s), worker, None, workers)


def until(arrivals: Iterator[tuple[int, float]], window_s: float) -> Iterator[tuple[int, float]]:
    """Yield the arrivals that are due before the window ends."""
    return itertools.takewhile(lambda arrival: arrival[1] < window_s, arrivals)
