"""The answer to one check: where every rule stands. Pure: no SQL, no clock, no socket."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import NamedTuple

_WINDOW_S = {
    "requests_per_second": 1,
    "requests_per_minute": 60,
    "requests_per_hour": 3600,
    "daily_quota": 86_400,
    "weekly_quota": 604_800,
}


class Standing(NamedTuple):
    """Where one rule stands for one key after a check. A tuple: every request makes as many as rules apply."""

    rule_id: int
    rule_name: str
    scope: str
    limit_type: str
    limit_value: int
    key: str
    admitted: bool
    remaining: int
    reset_us: int  # after checked_at; refused: when it would be admitted; else: when `remaining` grows next
    checked_at: datetime  # the database's clock

    @property
    def reset_s(self) -> int:
        """Whole seconds until then, rounded up."""
        return max(-(-self.reset_us // 1_000_000), 0)

    @property
    def reset_epoch(self) -> int:
        """Seconds since the epoch until then, rounded up."""
        return math.ceil(self.checked_at.timestamp() + self.reset_us / 1_000_000)

    @property
    def window_s(self) -> int:
        """The length of the window, or of the running period, in seconds."""
        if self.limit_type in _WINDOW_S:
            return _WINDOW_S[self.limit_type]
        return month_s(self.checked_at)


@dataclass(frozen=True)
class Decision:
    """The answer to one check: where every rule that applies stands. Without a rule there is no limit."""

    standings: Sequence[Standing]

    @cached_property
    def admitted(self) -> bool:
        """Whether every rule admits the request."""
        return all(standing.admitted for standing in self.standings)

    @property
    def refusals(self) -> list[Standing]:
        """The rules that refuse it."""
        return [standing for standing in self.standings if not standing.admitted]

    @property
    def tightest(self) -> Standing:
        """The rule that decides when to come back: the one that refuses longest, else the one with least left."""
        return min(self.standings, key=lambda standing: (standing.admitted, standing.remaining, -standing.reset_s))


def month_s(moment: datetime) -> int:
    """Return the length in seconds of the calendar month (UTC) that `moment` lies in."""
    start = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (start + timedelta(days=32)).replace(day=1)
    return int((following - start).total_seconds())
