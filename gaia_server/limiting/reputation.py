"""Reputation of users: what an event does to a score, and what a score does to a limit. Pure: time is an argument.

Scores are whole numbers from 0 to 100 and start at 50. Only what a user's own limits (rules of scope `user`) say
counts: a request that they admit is clean, one that they refuse is a violation, whatever other rules say of it.
The limiter and the upkeep do the same in SQL; tests hold both to this module.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from math import floor

LOWEST, START, HIGHEST = 0, 50, 100
FLAGGED_BELOW, TRUSTED_FROM = 20, 80
FACTORS = {"flagged": Fraction(1, 2), "standard": Fraction(1), "trusted": Fraction(3, 2), "vip": Fraction(2)}
"""Tier -> what it multiplies a limit by."""

TIERS = tuple(FACTORS)
EVENT_KINDS = ("violation", "clean", "decay", "manual")
POINTS_PER_SEVERITY = 3
CLEAN_REQUESTS_PER_POINT = 100
POINTS_PER_WEEK = 5
WEEK = timedelta(weeks=1)

_SEVERITIES = {"requests_per_second": 1, "requests_per_minute": 2}
_GRAVEST = 3  # an hour's limit, and quotas


@dataclass(frozen=True, slots=True)
class Reputation:
    """How well one user has behaved."""

    score: int = START
    clean_requests: int = 0  # since the last point that they earned
    vip: bool = False  # made so by hand

    @property
    def tier(self) -> str:
        """flagged, standard, trusted or vip."""
        if self.vip:
            return "vip"
        if self.score < FLAGGED_BELOW:
            return "flagged"
        return "trusted" if self.score >= TRUSTED_FROM else "standard"


def severity(limit_types: Iterable[str]) -> int:
    """Return how grave one refused request is, 1 to 3: as the gravest of the limits that refused it (one or more)."""
    return max(_SEVERITIES.get(limit_type, _GRAVEST) for limit_type in limit_types)


def after_violations(known: Reputation, severities: Iterable[int]) -> Reputation:
    """Return the reputation after refused requests, each of its severity."""
    return _moved(known, -POINTS_PER_SEVERITY * sum(severities))


def after_clean(known: Reputation, requests: int) -> Reputation:
    """Return the reputation after admitted requests: every hundredth earns a point."""
    points, left = divmod(known.clean_requests + requests, CLEAN_REQUESTS_PER_POINT)
    return replace(_moved(known, points), clean_requests=left)


def after_idle(known: Reputation, idle: timedelta) -> tuple[Reputation, timedelta]:
    """Return the reputation after a time without a change of the score, and how much of that time was used up.

    Each whole week moves the score towards the start; what is left of the time counts for the next week. So it
    makes no difference how often this is asked.
    """
    weeks = max(idle // WEEK, 0)
    distance = START - known.score
    step = min(POINTS_PER_WEEK * weeks, abs(distance))
    return _moved(known, step if distance > 0 else -step), weeks * WEEK


def effective_limit(limit_value: int, tier: str) -> int:
    """Return the limit for a user of this tier: rounded down, but 1 stays 1, as 0 refuses everything."""
    return max(floor(limit_value * FACTORS[tier]), min(limit_value, 1))


def _moved(known: Reputation, points: int) -> Reputation:
    return replace(known, score=min(max(known.score + points, LOWEST), HIGHEST))
