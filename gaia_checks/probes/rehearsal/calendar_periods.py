"""The calendar periods of quotas (UTC), and probes that none of their ends may fall into."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

QUOTAS = ("daily_quota", "weekly_quota", "monthly_quota")

_INTO_NEXT = {quota: timedelta(days=days) for quota, days in zip(QUOTAS, (1, 7, 31), strict=True)}
_BEFORE_MIDNIGHT = timedelta(seconds=60)  # a probe finishes within this time
_AFTER_MIDNIGHT = timedelta(seconds=5)  # the server's clock may be behind

_Result = TypeVar("_Result")


def within_a_day(
    look: Callable[[], _Result],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> _Result:
    """Run a probe outside midnight UTC, when every quota may reset."""
    while True:
        sleep(wait_s(now()))
        day = now().date()
        result = look()
        if now().date() == day:
            return result


def wait_s(now: datetime) -> float:
    """Return how long to wait until no midnight UTC is near. Pure."""
    midnight = period_start("daily_quota", now + _BEFORE_MIDNIGHT)
    return max(0.0, (midnight + _AFTER_MIDNIGHT - now).total_seconds())


def period_start(quota: str, moment: datetime) -> datetime:
    """Return the start of the calendar period (UTC) of `moment`; a week starts on Monday. Pure."""
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if quota == "weekly_quota":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if quota == "monthly_quota" else day


def period_end(quota: str, moment: datetime) -> datetime:
    """Return the end of the calendar period (UTC) of `moment`: the start of the next one. Pure."""
    return period_start(quota, period_start(quota, moment) + _INTO_NEXT[quota])
