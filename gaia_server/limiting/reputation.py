"""Reputation of users: how events change a score, and how a score changes limits. Pure: time is an argument.

Scores are whole numbers from 0 to 100 and start at 50. Only the user's own limits (rules of scope `user`) count:
a request that they admit is clean, one that they refuse is a violation, whatever other rules decide.
The limiter and the retention job do the same in SQL; tests compare both with this module.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from math import floor
from typing import Annotated

from gaia_server.field_types import one_of, whole
from gaia_server.limiting.limit_types import limit_type

LOWEST, START, HIGHEST = 0, 50, 100
FLAGGED_BELOW, TRUSTED_FROM = 20, 80
FACTORS = {"flagged": Fraction(1, 2), "standard": Fraction(1), "trusted": Fraction(3, 2), "vip": Fraction(2)}
"""Tier -> factor by which it multiplies a limit."""

TIERS = tuple(FACTORS)
EVENT_KINDS = ("violation", "clean", "decay", "manual")
Score = Annotated[int, whole(LOWEST, HIGHEST)]
Tier = Annotated[str, one_of(TIERS)]
EventKind = Annotated[str, one_of(EVENT_KINDS)]
POINTS_PER_SEVERITY = 3
CLEAN_REQUESTS_PER_POINT = 100
POINTS_PER_WEEK = 5
WEEK = timedelta(weeks=1)


@dataclass(frozen=True, slots=True)
class Reputation:
    """One user's reputation."""

    score: int = START
    clean_requests: int = 0  # since the last point earned
    vip: bool = False  # set manually

    @property
    def tier(self) -> str:
        """flagged, standard, trusted or vip."""
        if self.vip:
            return "vip"
        if self.score < FLAGGED_BELOW:
            return "flagged"
        return "trusted" if self.score >= TRUSTED_FROM else "standard"


def severity(limit_types: Iterable[str]) -> int:
    """Return the severity of one refused request, 1 to 3: the highest of the limits (one or more) that refused it.

    Raises UnknownLimitType.
    """
    return max(limit_type(name).severity for name in limit_types)


def after_violations(known: Reputation, severities: Iterable[int]) -> Reputation:
    """Return the reputation after refused requests with these severities."""
    return _moved(known, -POINTS_PER_SEVERITY * sum(severities))


def after_clean(known: Reputation, requests: int) -> Reputation:
    """Return the reputation after admitted requests: every hundredth request earns a point."""
    points, left = divmod(known.clean_requests + requests, CLEAN_REQUESTS_PER_POINT)
    return replace(_moved(known, points), clean_requests=left)


def after_idle(known: Reputation, idle: timedelta) -> tuple[Reputation, timedelta]:
    """Return the reputation after a time without a change of the score, and the part of that time that was applied.

    Each whole week moves the score towards the start; the remaining time counts for the next week, so the result
    does not depend on how often this is called.
    """
    weeks = max(idle // WEEK, 0)
    distance = START - known.score
    step = min(POINTS_PER_WEEK * weeks, abs(distance))
    return _moved(known, step if distance > 0 else -step), weeks * WEEK


def effective_limit(limit_value: int, tier: str) -> int:
    """Return the limit for a user of this tier: rounded down, but 1 stays 1, because 0 refuses everything."""
    return max(floor(limit_value * FACTORS[tier]), min(limit_value, 1))


def _moved(known: Reputation, points: int) -> Reputation:
    return replace(known, score=min(max(known.score + points, LOWEST), HIGHEST))
