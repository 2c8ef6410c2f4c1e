"""`rate_limit_check`: exact windows and quotas, with time moved through the view of admissions."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from gaia_server.limiting.decide import Question
from gaia_server.limiting.decision import Standing
from gaia_server.limiting.principals import Principal
from tests.gaia_server.sql_limiter import Connection, advance_time, connect, decide_batch, rule


@pytest.fixture
def connection(schema: str) -> Iterator[Connection]:
    """A connection to a database whose default rules are disabled."""
    with connect(schema) as connection:
        yield connection


def check(connection: Connection, user: str = "u", resource: str = "config") -> Sequence[Standing]:
    """Return the standings of all rules after one request."""
    (decision,) = decide_batch(connection, [Question(Principal("user", user), resource)])
    return decision.standings


def admits(connection: Connection, user: str = "u") -> bool:
    """Return whether one request passes."""
    return all(standing.admitted for standing in check(connection, user))


def test_ring_is_bounded(connection: Connection) -> None:
    """Whatever its limit and however long it is used, a key keeps few more rows than admissions in the window."""
    rule_id = rule(connection, "requests_per_second", 1_000_000)
    for _ in range(60):
        admits(connection)
        advance_time(connection, rule_id, 0.2)
    row = connection.execute("SELECT count(*) FROM rate_limit_ring WHERE rule_id = %s", (rule_id,)).fetchone()
    assert row == (8,)


def test_all_or_nothing(connection: Connection) -> None:
    """A request that one rule refuses consumes nothing of the other rules."""
    wide, narrow = rule(connection, "requests_per_hour", 100), rule(connection, "daily_quota", 2)
    for _ in range(5):
        check(connection)
    found = {standing.rule_id: (standing.admitted, standing.remaining) for standing in check(connection)}
    assert found == {wide: (True, 98), narrow: (False, 0)}


def test_race(schema: str, connection: Connection) -> None:
    """Of 400 requests on 16 connections at once, exactly the limit passes, under a window and a quota."""
    rule(connection, "requests_per_minute", 100)
    rule(connection, "monthly_quota", 100)

    def admitted_of(_: int) -> int:
        with psycopg.connect(schema, autocommit=True) as one:
            return sum(admits(one) for _ in range(25))

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(admitted_of, range(16))) == 100


def test_opposite_locks_do_not_deadlock(schema: str, connection: Connection) -> None:
    """Principals that share a global rule never deadlock."""
    for scope in ("user", "global", "user", "global"):
        rule(connection, "requests_per_minute", 1_000_000, scope=scope)

    def admitted_of(number: int) -> int:
        with psycopg.connect(schema, autocommit=True) as one:
            return sum(admits(one, f"u{(number + turn) % 3}") for turn in range(40))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(admitted_of, range(8))) == 320


@pytest.mark.parametrize(
    ("kind", "unit"), [("daily_quota", "day"), ("weekly_quota", "week"), ("monthly_quota", "month")]
)
def test_quota_period(connection: Connection, kind: str, unit: str) -> None:
    """A quota counts until its period's end in UTC and restarts in the next; the old count is kept."""
    rule_id = rule(connection, kind, 2)
    assert [admits(connection) for _ in range(3)] == [True, True, False]
    (standing,) = check(connection)
    row = connection.execute(
        "SELECT extract(epoch FROM date_trunc(%s, now() AT TIME ZONE 'UTC') + ('1 ' || %s)::interval"
        " - now() AT TIME ZONE 'UTC')::float",
        (unit, unit),
    ).fetchone()
    assert standing.reset_s == pytest.approx(row[0] if row else None, abs=5)
    connection.execute(
        "UPDATE rate_limit_admissions SET admitted_at = admitted_at - ('1 ' || %s)::interval WHERE rule_id = %s",
        (unit, rule_id),
    )
    assert [admits(connection) for _ in range(3)] == [True, True, False]
    kept = connection.execute("SELECT used FROM resource_consumption WHERE rule_id = %s", (rule_id,)).fetchall()
    assert kept == [(2,)]


@pytest.mark.parametrize(
    ("kind", "moment", "start", "end"),
    [
        ("daily_quota", "2026-02-26T23:59:59Z", "2026-02-26", "2026-02-27"),
        ("weekly_quota", "2026-03-01T12:00:00Z", "2026-02-23", "2026-03-02"),  # a Sunday
        ("weekly_quota", "2026-03-02T00:00:00Z", "2026-03-02", "2026-03-09"),
        ("monthly_quota", "2028-02-29T12:00:00Z", "2028-02-01", "2028-03-01"),
    ],
)
def test_periods(connection: Connection, kind: str, moment: str, start: str, end: str) -> None:
    """Periods start at midnight UTC, weeks on Monday, whatever the session's time zone."""
    connection.execute("SET TimeZone = 'Pacific/Auckland'")
    row = connection.execute(
        "SELECT rate_limit_period_start(%(kind)s, %(moment)s) = %(start)s::timestamp AT TIME ZONE 'UTC',"
        " rate_limit_period_end(%(kind)s, %(moment)s) = %(end)s::timestamp AT TIME ZONE 'UTC'",
        {"kind": kind, "moment": moment, "start": start, "end": end},
    ).fetchone()
    assert row == (True, True)


def test_which_rules_apply(connection: Connection) -> None:
    """Rules of the principal's scope and global rules apply, by value and resource; disabled rules do not."""
    applying = {
        rule(connection, "daily_quota", 9),
        rule(connection, "daily_quota", 9, value="u"),
        rule(connection, "daily_quota", 9, scope="global"),
    }
    rule(connection, "daily_quota", 9, value="other")
    rule(connection, "daily_quota", 9, scope="ip")
    narrow = rule(connection, "daily_quota", 9)
    connection.execute("UPDATE rate_limit_configs SET resource_type = 'usage' WHERE id = %s", (narrow,))
    off = rule(connection, "daily_quota", 9)
    connection.execute("UPDATE rate_limit_configs SET enabled = false WHERE id = %s", (off,))
    assert {standing.rule_id for standing in check(connection)} == applying
    assert {standing.rule_id for standing in check(connection, resource="usage")} == applying | {narrow}


def test_another_kind_of_limit_starts_empty(connection: Connection) -> None:
    """A rule whose limit type changes starts with an empty count."""
    rule_id = rule(connection, "requests_per_second", 1)
    assert admits(connection)
    connection.execute("UPDATE rate_limit_configs SET limit_type = 'requests_per_hour' WHERE id = %s", (rule_id,))
    assert [admits(connection), admits(connection)] == [True, False]


def test_violations_are_summed_per_second(connection: Connection) -> None:
    """Many refusals insert one row per second, not one per request."""
    rule(connection, "requests_per_hour", 0)
    for _ in range(30):
        check(connection)
    rows = connection.execute("SELECT key, hits FROM rate_limit_violations").fetchall()
    assert sum(hits for _, hits in rows) == 30
    assert len(rows) <= 3
    assert {key for key, _ in rows} == {"user:u"}


def test_deleting_a_key_rule_leaves_no_trace(connection: Connection) -> None:
    """When no rule names an API key any more, its counts under other rules are deleted too."""
    for_all_keys = rule(connection, "daily_quota", 1, scope="api_key")
    rule(connection, "requests_per_hour", 1, scope="api_key")
    named = rule(connection, "requests_per_second", 5, scope="api_key", value="run-7")
    for _ in range(3):
        decide_batch(connection, [Question(Principal("api_key", "run-7"), "config")])
    decide_batch(connection, [Question(Principal("api_key", "other"), "config")])
    connection.execute("DELETE FROM rate_limit_configs WHERE id = %s", (named,))
    tables = (
        "rate_limit_buckets",
        "rate_limit_ring",
        "resource_quotas",
        "resource_consumption",
        "rate_limit_violations",
    )
    for table in tables:
        assert connection.execute(f"SELECT * FROM {table} WHERE key ~ 'run-7'").fetchall() == [], table
    kept = connection.execute("SELECT key FROM resource_quotas WHERE rule_id = %s", (for_all_keys,)).fetchall()
    assert kept == [("api_key:other",)]


def test_only_times_can_be_moved(connection: Connection) -> None:
    """The view allows changes of times only."""
    rule(connection, "requests_per_hour", 1)
    check(connection)
    with pytest.raises(psycopg.errors.RaiseException, match="only admitted_at can be changed"):
        connection.execute("UPDATE rate_limit_admissions SET key = 'user:other'")
