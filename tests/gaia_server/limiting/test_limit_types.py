"""The table of limit types, and the copies of it that SQL and JavaScript cannot import."""

import re
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from gaia_server.dashboard import FOLDER
from gaia_server.limiting import reputation
from gaia_server.limiting.decision import Standing
from gaia_server.limiting.limit_types import LIMIT_TYPES, UnknownLimitType, length_s, limit_type

NOW = datetime(2026, 2, 26, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "moment", "seconds"),
    [
        ("requests_per_second", NOW, 1),
        ("requests_per_minute", NOW, 60),
        ("requests_per_hour", NOW, 3600),
        ("daily_quota", NOW, 86_400),
        ("weekly_quota", NOW, 7 * 86_400),
        ("monthly_quota", NOW, 28 * 86_400),
        ("monthly_quota", datetime(2028, 2, 29, tzinfo=UTC), 29 * 86_400),
        ("monthly_quota", datetime(2026, 12, 31, 23, 59, tzinfo=UTC), 31 * 86_400),
    ],
)
def test_length(name: str, moment: datetime, seconds: int) -> None:
    """A window has a fixed length; a monthly quota's period is as long as its month."""
    assert length_s(name, moment) == seconds


def test_an_unknown_type_is_an_error() -> None:
    """An unknown limit type never falls back to a known one."""
    standing = Standing(1, "a", "ip", "yearly_quota", 10, "ip:x", True, 3, 0, NOW)
    with pytest.raises(UnknownLimitType, match="limit type 'yearly_quota' is unknown; known: requests_per_second, "):
        _ = standing.window_s
    with pytest.raises(UnknownLimitType):
        reputation.severity(["requests_per_second", "yearly_quota"])


def test_the_schema_has_the_same_types(schema: str) -> None:
    """The CHECK constraint admits the table's names only; windows, periods and severities in SQL are the table's."""
    with psycopg.connect(schema) as connection:
        (constraint,) = connection.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'rate_limit_configs_limit_type_check'"
        ).fetchone() or ("",)
        assert re.findall(r"'(\w+)'", constraint) == list(LIMIT_TYPES)
        for name in LIMIT_TYPES:
            known = limit_type(name)
            row = connection.execute(
                "SELECT rate_limit_window(%(n)s), rate_limit_period(%(n)s), reputation_severity(%(n)s)", {"n": name}
            ).fetchone()
            window = timedelta(seconds=known.seconds) if known.period is None and known.seconds else None
            assert row == (window, known.period, known.severity), name


def test_the_dashboard_has_the_same_types() -> None:
    """The dashboard offers every limit type, in the table's order."""
    units = re.search(r"const UNITS = \{(.*?)\};", (FOLDER / "format.js").read_text(), re.DOTALL)
    assert units
    assert re.findall(r"(\w+): \"", units[1]) == list(LIMIT_TYPES)
