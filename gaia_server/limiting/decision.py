"""The decision about one request: the standing of every rule. Pure: no SQL, no clock, no socket."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from gaia_server.limiting.limit_types import length_s


class Standing(NamedTuple):
    """One rule's state for one key after a check. A tuple, because every request makes one for each applicable rule."""

    rule_id: int
    rule_name: str
    scope: str
    limit_type: str
    limit_value: int
    key: str
    admitted: bool
    remaining: int
    reset_us: int  # after checked_at; if refused until it would be admitted, else until `remaining` next increases
    checked_at: datetime  # the database's clock

    @property
    def reset_s(self) -> int:
        """`reset_us` in whole seconds, rounded up, never negative."""
        return max(-(-self.reset_us // 1_000_000), 0)

    @property
    def reset_epoch(self) -> int:
        """The time of the reset in seconds since the epoch, rounded up."""
        return math.ceil(self.checked_at.timestamp() + self.reset_us / 1_000_000)

    @property
    def window_s(self) -> int:
        """The length of the window, or of the current period, in seconds. Raises UnknownLimitType."""
        return length_s(self.limit_type, self.checked_at)


@dataclass(frozen=True)
class Decision:
    """The decision about one request: the standings of all applicable rules. Without a rule there is no limit."""

    standings: Sequence[Standing]

    @cached_property
    def admitted(self) -> bool:
        """Whether every rule admits the request."""
        return all(standing.admitted for standing in self.standings)

    @property
    def refusals(self) -> list[Standing]:
        """The standings of the rules that refuse it."""
        return [standing for standing in self.standings if not standing.admitted]

    @property
    def tightest(self) -> Standing:
        """The rule that sets the retry time: the one that refuses longest, else the one with the least remaining."""
        return min(self.standings, key=lambda standing: (standing.admitted, standing.remaining, -standing.reset_s))
