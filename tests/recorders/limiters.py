"""Limiters, right and wrong, for any clock: as models of servers, and inside real ones."""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gaia_checks.recorders.limits.burst_plan import BurstRule

Check = Callable[[str, Sequence[BurstRule], float], bool]
"""(key, its rules, now) -> whether the request is admitted; it is counted if so."""


@dataclass
class Log:
    """An exact limiter: every rule stores its admission times. Its fields introduce faults."""

    lower_by: int = 0  # the limit is that much lower than it should be
    stretch: float = 1.0  # the window is that much longer
    counts_refusals: bool = False
    counts_each: bool = False  # a rule that would admit counts, whatever the others say
    mixes_keys: bool = False  # counts all keys together
    opens: float = 0.0  # this share of requests is admitted uncounted, come what may
    closes: float = 0.0  # this share is refused, come what may
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    admitted: dict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))

    def __call__(self, key: str, rules: Sequence[BurstRule], now: float) -> bool:
        """Decide, and count."""
        if self.chance.random() < self.opens:
            return True
        room = [self.used(key, rule, now) < rule.limit - self.lower_by for rule in rules]
        admits = all(room) and self.chance.random() >= self.closes
        for rule, each in zip(rules, room, strict=True):
            if admits or self.counts_refusals or (self.counts_each and each):
                self.count(key, rule, now)
        return admits

    def count(self, key: str, rule: BurstRule, now: float) -> None:
        """Count an admission."""
        self._counter(key, rule).append(now)

    def used(self, key: str, rule: BurstRule, now: float) -> int:
        """How many are in the window now."""
        return sum(moment > now - rule.window_s * self.stretch for moment in self._counter(key, rule))

    def oldest(self, key: str, rule: BurstRule, now: float) -> float:
        """When the oldest in the window was admitted; now, if there is none."""
        return min((moment for moment in self._counter(key, rule) if moment > now - rule.window_s), default=now)

    def _counter(self, key: str, rule: BurstRule) -> list[float]:
        return self.admitted["" if self.mixes_keys else key, rule.window_s]


@dataclass
class Fixed:
    """Counts within windows that begin at fixed moments, or with the first request after one is over."""

    phase: float | None = 0.0  # None: with a request
    counts: dict[tuple[str, BurstRule], tuple[float, int]] = field(default_factory=dict)  # begin, count

    def __call__(self, key: str, rules: Sequence[BurstRule], now: float) -> bool:
        """Decide, and count."""
        now_in = [self._running(key, rule, now) for rule in rules]
        admits = all(count < rule.limit for rule, (_, count) in zip(rules, now_in, strict=True))
        for rule, (begin, count) in zip(rules, now_in, strict=True):
            self.counts[key, rule] = (begin, count + admits)
        return admits

    def _running(self, key: str, rule: BurstRule, now: float) -> tuple[float, int]:
        begin, count = self.counts.get((key, rule), (-math.inf, 0))
        if self.phase is None:
            return (begin, count) if now < begin + rule.window_s else (now, 0)
        current = math.floor((now - self.phase) / rule.window_s) * rule.window_s + self.phase
        return (begin, count) if begin == current else (current, 0)


@dataclass
class Weighted:
    """Estimates the sliding window from two fixed ones, as many limiters do."""

    phase: float = 0.0
    counts: dict[tuple[str, BurstRule, int], int] = field(default_factory=lambda: defaultdict(int))

    def __call__(self, key: str, rules: Sequence[BurstRule], now: float) -> bool:
        """Decide, and count."""
        places = [divmod((now - self.phase) / rule.window_s, 1) for rule in rules]
        admits = all(
            self.counts[key, rule, int(place)] + self.counts[key, rule, int(place) - 1] * (1 - gone) < rule.limit
            for rule, (place, gone) in zip(rules, places, strict=True)
        )
        for rule, (place, _) in zip(rules, places, strict=True):
            self.counts[key, rule, int(place)] += admits
        return admits


@dataclass
class Bucket:
    """A bucket that fills drop by drop."""

    levels: dict[tuple[str, BurstRule], tuple[float, float]] = field(default_factory=dict)

    def __call__(self, key: str, rules: Sequence[BurstRule], now: float) -> bool:
        """Decide, and count."""
        levels = {}
        for rule in rules:
            then, level = self.levels.get((key, rule), (now, float(rule.limit)))
            levels[rule] = min(rule.limit, level + (now - then) * rule.limit / rule.window_s)
        admits = all(level >= 1 for level in levels.values())
        for rule, level in levels.items():
            self.levels[key, rule] = (now, level - admits)
        return admits


@dataclass
class Long:
    """Wrong only where a window is longer than a second."""

    wrong: Check
    right: Log = field(default_factory=Log)

    def __call__(self, key: str, rules: Sequence[BurstRule], now: float) -> bool:
        """Decide, and count."""
        check = self.wrong if any(rule.window_s > 1 for rule in rules) else self.right
        return check(key, rules, now)


@dataclass
class Ring:
    """Keeps times in slots that it uses again. When all are in use it doubles them, and leaves the times in place."""

    slots: dict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(lambda: [-math.inf] * 8))
    tails: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))  # the number of the oldest
    heads: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))  # the number of the next

    def __call__(self, key: str, rules: Sequence[BurstRule], now: float) -> bool:
        """Decide, and count."""
        admits = all(self._used(key, rule, now) < rule.limit for rule in rules)
        for rule in rules if admits else ():
            self._count((key, rule.window_s), now)
        return admits

    def _used(self, key: str, rule: BurstRule, now: float) -> int:
        each = key, rule.window_s
        slots = self.slots[each]
        while self.tails[each] < self.heads[each] and slots[self.tails[each] % len(slots)] <= now - rule.window_s:
            self.tails[each] += 1
        return self.heads[each] - self.tails[each]

    def _count(self, each: tuple[str, int], now: float) -> None:
        slots = self.slots[each]
        if self.heads[each] - self.tails[each] == len(slots):
            slots += [-math.inf] * len(slots)
        slots[self.heads[each] % len(slots)] = now
        self.heads[each] += 1


FAULTS: Mapping[str, Callable[[float], Check]] = {
    "fixed windows": Fixed,
    "fixed windows from the first request": lambda _: Fixed(None),
    "an estimate from two windows": Weighted,
    "a bucket": lambda _: Bucket(),
    "one too few": lambda _: Log(lower_by=1),
    "one too many": lambda _: Log(lower_by=-1),
    "windows too long": lambda _: Log(stretch=1.05),
    "windows too short": lambda _: Log(stretch=0.95),
    "refusals count": lambda _: Log(counts_refusals=True),
    "each rule counts alone": lambda _: Log(counts_each=True),
    "keys are mixed up": lambda _: Log(mixes_keys=True),
    "an error admits": lambda phase: Log(opens=0.05, chance=random.Random(phase)),
    "a ring grows in place": lambda _: Ring(),
    "an error refuses": lambda phase: Log(closes=0.05, chance=random.Random(phase)),
}
"""Name -> the limiter, for a phase of its clock between 0 and 1."""

LONG_FAULTS: Mapping[str, Callable[[float], Check]] = {
    "fixed minutes": lambda phase: Long(Fixed(phase * 60)),
    "fixed minutes from the first request": lambda _: Long(Fixed(None)),
    "minutes too long": lambda _: Long(Log(stretch=1.005)),
    "minutes too short": lambda _: Long(Log(stretch=0.995)),
    "an estimate from two minutes": lambda phase: Long(Weighted(phase * 60)),
}
"""As above; right in windows of a second."""
