"""What the database counted against what clients saw. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.limiter.racing import Seen


@dataclass(frozen=True, slots=True)
class Balance:
    """Where the two disagree, in requests. Both are 0 when nothing was lost and nothing was counted twice."""

    lost: int  # answered as admitted, but not in the count
    invented: int  # in the count beyond all that may have been admitted: refusals are not, lost answers may be


def balance(seen: Iterable[Seen], used: Mapping[str, int]) -> Balance:
    """Compare, key by key; `used` is what the database counted for each user."""
    certain: Counter[str] = Counter()
    possible: Counter[str] = Counter()
    for one in seen:
        certain[one.key] += one.admitted is True
        possible[one.key] += one.admitted is not False
    keys = possible.keys() | used.keys()
    return Balance(
        lost=sum(max(certain[key] - used.get(key, 0), 0) for key in keys),
        invented=sum(max(used.get(key, 0) - possible[key], 0) for key in keys),
    )
