"""What the limits recorder sends, and when. Pure.

Every key has rules of its own, and its requests expose one kind of wrong limiter:

- `hot`, `left`, `right`: all connections at once, for a little more than the limit. A limiter that checks first
  and counts later admits too many; one that counts refusals as well has no room a window later.
- `calm` is sent between them, never above its limit: a limiter that mixes up keys refuses it.
- `edge`: one, then the rest of the limit late in the window, then a little after it. A fixed-window limiter,
  wherever its windows start, or a token bucket admits too many at one of these moments.
- `steady`: one after the other, a little more often than allowed: each slot is free again a window later.
- `growing`: one after the other, alone in its window, then several within one: a limiter that stores times in places
  that it uses again, and moves them when it needs more, loses some.
- `pair`: a limit per second and one per minute. What one of them refuses must not be counted by the other.
- `minute`, `hour`: filled at once, then requested repeatedly: before the first expires, just after it, a window later.

Refusals are few on purpose: more than 100 within a minute would trigger the server's alert, which the soak does.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

WINDOW_S = {"requests_per_second": 1, "requests_per_minute": 60, "requests_per_hour": 3600}

_ROUNDS_S = (0.2, 2.7, 20.0, 40.0, 66.0, 80.0, 100.0, 117.0)
"""Start times of the two-second rounds; none while windows of a minute expire."""

ENDS_S = 125.0
"""The plan ends here; a longer window sends nothing more."""

_MARGIN_S = 0.3
"""The last request is answered within the window."""

_CALM = ("calm",) * 2


@dataclass(frozen=True, slots=True)
class BurstRule:
    """One limit of a key."""

    limit_type: str
    limit: int

    @property
    def window_s(self) -> int:
        """The length of its window, in seconds."""
        return WINDOW_S[self.limit_type]


@dataclass(frozen=True, slots=True)
class Burst:
    """A burst: requests that leave at one moment, each on a connection of its own."""

    at_s: float  # after the start
    keys: tuple[str, ...]  # of the requests, in the order in which they leave


def rules(clients: int) -> Mapping[str, tuple[BurstRule, ...]]:
    """Return the limits of every key; at most `clients` requests leave at once."""

    def second(limit: int) -> BurstRule:
        return BurstRule("requests_per_second", limit)

    return {
        "hot": (second(clients - 4),),
        "left": (second(clients // 2 - 2),),
        "right": (second(clients // 2 - 2),),
        "calm": (second(10),),
        "edge": (second(6),),
        "steady": (second(5),),
        "growing": (second(10),),
        "pair": (second(5), BurstRule("requests_per_minute", 20)),
        "minute": (BurstRule("requests_per_minute", 30),),
        "hour": (BurstRule("requests_per_hour", 10),),
    }


def plan(clients: int, window_s: float) -> list[Burst]:
    """Return all bursts that fit into `window_s`, by their time."""
    rounds = chain.from_iterable(_round(number, at_s, clients) for number, at_s in enumerate(_ROUNDS_S))
    long = chain.from_iterable(_several(key, times) for key, times in _LONG.items())
    return sorted(
        (burst for burst in chain(rounds, long) if burst.at_s <= window_s - _MARGIN_S), key=lambda burst: burst.at_s
    )


def _round(number: int, at_s: float, clients: int) -> Iterator[Burst]:
    yield from _race(at_s, ("hot",) * (clients - 2) if number % 2 == 0 else ("left", "right") * (clients // 2 - 1))
    yield from _several("edge", {at_s + after_s: count for after_s, count in _EDGE.items()})
    yield from _several("steady", {at_s + step * _STEADY_S: 1 for step in range(13)})


def _race(at_s: float, racing: tuple[str, ...]) -> Iterator[Burst]:
    """Fill the limit at once; still full half a window later; fill it again just after the window."""
    yield Burst(at_s, racing + _CALM)
    yield Burst(at_s + 0.55, tuple(dict.fromkeys(racing)) + _CALM)
    yield Burst(at_s + 1.06, racing + _CALM)


def _several(key: str, counts: Mapping[float, int]) -> Iterable[Burst]:
    return (Burst(round(at_s, 3), (key,) * count) for at_s, count in counts.items())


_EDGE = {0.0: 1, 0.80: 6, 1.10: 2, 1.72: 1, 1.76: 1, 1.84: 1, 1.88: 1}
"""Of a limit of 6: 1; 5 and one too many; what has left and one too many; two too early; two in time."""

_STEADY_S = 0.18
"""Of a limit of 5 a second: in every 6 steps one is too many, and all are 80 ms away from a window's edge."""

_GROWING_S = 0.09
"""Of a limit of 10 a second, after one request alone: 10 and one too many, each at a moment of its own."""

_LONG: Mapping[str, Mapping[float, int]] = {
    "growing": {0.3: 1} | {1.5 + step * _GROWING_S: 1 for step in range(11)} | {
        # the first left at 2.5, and one more in every step: one comes in, and one is too many
        2.545 + step * _GROWING_S: 2 for step in range(10)
    },
    "pair": {
        # 5 of 7 each second, until 20 in the minute; then the minute refuses what the second would admit
        0.4: 7, 1.5: 7, 2.6: 7, 3.7: 7, 4.75: 2, 20.5: 1, 40.5: 1,
        # refused just before the first 5 leave; were that counted by the second, these would not come in
        60.1: 1, 60.17: 1, 60.24: 1, 60.6: 6, 61.75: 6,
        90.0: 5, 91.1: 5, 92.3: 1, 120.3: 1, 120.9: 6,
    },
    "minute": {
        0.7: 12, 2.0: 12, 4.3: 7, 10.0: 1, 25.0: 1, 45.0: 1, 55.0: 1,
        # 12 leave at 60.7, 12 at 62.0, 6 at 64.3
        60.55: 1, 60.62: 1, 60.82: 1, 60.9: 1, 61.2: 11, 62.25: 13, 64.15: 1, 64.5: 6, 75.0: 1, 90.5: 1, 105.0: 1,
        # 1 leaves at 120.82, 1 at 120.9, 10 at 121.2, 12 at 122.25
        120.7: 1, 121.05: 3, 121.4: 10, 122.45: 12,
    },
    "hour": {0.9: 6, 3.1: 6, 30.0: 1, 63.0: 1, 98.0: 1, 123.5: 1},
}  # fmt: skip
"""Seconds since the start -> how many requests leave at once."""
