"""Compares the database's counts with the responses that clients received. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.limiter.racing import Seen


@dataclass(frozen=True, slots=True)
class Balance:
    """Differences, in requests. Both are 0 when nothing was lost and nothing was counted twice."""

    lost: int  # admitted by the response, but missing from the count
    invented: int  # counted beyond all possible admissions: refusals are none, lost responses may be


def balance(observations: Iterable[Seen], used: Mapping[str, int]) -> Balance:
    """Compare key by key; `used` is the database's count of each user."""
    certain: Counter[str] = Counter()
    possible: Counter[str] = Counter()
    for one in observations:
        certain[one.key] += one.admitted is True
        possible[one.key] += one.admitted is not False
    keys = possible.keys() | used.keys()
    return Balance(
        lost=sum(max(certain[key] - used.get(key, 0), 0) for key in keys),
        invented=sum(max(used.get(key, 0) - possible[key], 0) for key in keys),
    )
