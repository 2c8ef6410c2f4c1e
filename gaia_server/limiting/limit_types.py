"""The limit types: one table, which everything in Python imports. Pure.

The schema's CHECK constraint and functions and `dashboard/format.js` repeat the names; tests compare them with it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from gaia_server.field_types import one_of


@dataclass(frozen=True, slots=True)
class LimitType:
    """A sliding window, or a calendar period in UTC."""

    seconds: int | None  # None: depends on the month
    severity: int  # of a refusal by it, 1 to 3
    period: str | None = None  # as PostgreSQL's date_trunc calls it; None: a sliding window


_TABLE = {
    "requests_per_second": LimitType(1, 1),
    "requests_per_minute": LimitType(60, 2),
    "requests_per_hour": LimitType(3600, 3),
    "daily_quota": LimitType(86_400, 3, "day"),
    "weekly_quota": LimitType(604_800, 3, "week"),
    "monthly_quota": LimitType(None, 3, "month"),
}

LIMIT_TYPES = tuple(_TABLE)
LimitTypeName = Annotated[str, one_of(LIMIT_TYPES)]


class UnknownLimitType(ValueError):
    """A name that is not in the table."""


def limit_type(name: str) -> LimitType:
    """Return a limit type by its name. Raises UnknownLimitType."""
    if name not in _TABLE:
        raise UnknownLimitType(f"limit type {name!r} is unknown; known: {', '.join(LIMIT_TYPES)}")
    return _TABLE[name]


def length_s(name: str, moment: datetime) -> int:
    """Return the length in seconds of the window, or of the period that contains `moment`. Raises UnknownLimitType."""
    found = limit_type(name)
    return _month_s(moment) if found.seconds is None else found.seconds


def _month_s(moment: datetime) -> int:
    """Return the length in seconds of the calendar month (UTC) that contains `moment`."""
    start = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (start + timedelta(days=32)).replace(day=1)
    return int((following - start).total_seconds())
