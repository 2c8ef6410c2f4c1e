"""The retention job on real tables: what it deletes, what it keeps, and that it blocks no request."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest

from gaia_server import retention
from gaia_server.app_state import Server
from gaia_server.settings import Settings
from gaia_server.storage.alert_notifications import give_up_orphans
from gaia_server.storage.store import Run, Store
from tests.gaia_server.conftest import Start, poll

DAYS = 30


@pytest.fixture
def connection(schema: str) -> Iterator[psycopg.Connection]:
    """A connection of the test, beside the server's."""
    with psycopg.connect(schema, autocommit=True) as connection:
        yield connection


def run(dsn: str, work: Callable[[Run], Awaitable[Any]]) -> Any:
    """Run one step of the retention job."""

    async def locked() -> Any:
        store = Store(dsn)
        await store.open()
        try:
            async with store.advisory_lock(1) as run_statement:
                assert run_statement
                return await work(run_statement)
        finally:
            await store.close()

    return asyncio.run(locked())


ROWS = {
    "rate_limit_violations": "(rule_id, key, resource_type, occurred_at, last_at)"
    " SELECT 1, 'ip:' || n, 'usage', {at}, {at}",
    "rate_limit_stats": "(minute, scope, resource_type) SELECT {at}, 'ip', 'r' || n",
    "system_load_history": "(sampled_at, instance, cpu_percent, memory_bytes, requests_per_second, websocket_clients,"
    " pool_in_use) SELECT {at}, 'i' || n, 0, 0, 0, 0, 0",
    "resource_consumption": "(key, rule_id, period_start, used, closed_at) SELECT 'ip:' || n, 1, '2020-01-01', 1, {at}",
    "rate_limit_alerts": "(name, severity, says, threshold, value, fired_at, resolved_value, resolved_at)"
    " SELECT 'a' || n, 's', 's', 1, 2, {at}, 1, {at}",
    "reputation_events": "(key, kind, change, occurred_at) SELECT 'user:' || n, 'clean', 1, {at}",
    "reputation_scores": "(key, updated_at) SELECT 'user:' || n, {at}",
}


@pytest.mark.parametrize("table", list(ROWS))
def test_old_rows_are_deleted(schema: str, connection: psycopg.Connection, table: str) -> None:
    """All rows older than the retention are deleted, in batches; younger rows stay."""
    connection.execute("ALTER TABLE reputation_events DROP CONSTRAINT reputation_events_key_fkey")
    for first, last, at in ((1, 2500, "now() - interval '31 days'"), (5001, 5007, "now() - interval '29 days'")):
        connection.execute(
            f"INSERT INTO {table} {ROWS[table].format(at=at)} FROM generate_series({first}, {last}) AS n"
        )
    assert run(schema, lambda run: retention.delete_old(run, table, DAYS)) == 2500
    assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (7,)


def test_rows_still_in_use_stay(schema: str, connection: psycopg.Connection) -> None:
    """A firing alert, a VIP and a score other than the starting score stay, whatever their age."""
    connection.execute(
        "INSERT INTO rate_limit_alerts (name, severity, says, threshold, value, fired_at)"
        " VALUES ('a', 's', 's', 1, 2, now() - interval '90 days')"
    )
    connection.execute(
        "INSERT INTO reputation_scores (key, score, vip, updated_at)"
        " VALUES ('user:v', 50, true, '2020-01-01'), ('user:s', 51, false, '2020-01-01')"
    )
    assert run(schema, lambda run: retention.delete_old(run, "rate_limit_alerts", DAYS)) == 0
    assert run(schema, lambda run: retention.delete_old(run, "reputation_scores", DAYS)) == 0


def test_notifications_to_urls_that_are_gone_are_given_up(schema: str, connection: psycopg.Connection) -> None:
    """What is due to a target that ALERT_URLS no longer has is given up after a while; it would fill the queue."""
    connection.execute(
        "WITH alert AS (INSERT INTO rate_limit_alerts (name, severity, says, threshold, value, fired_at)"
        " VALUES ('a', 's', 's', 1, 2, now()) RETURNING id)"
        " INSERT INTO rate_limit_alert_notifications (alert_id, state, target, next_attempt_at)"
        " SELECT id, 'firing', target, now() - make_interval(mins => minutes) FROM alert,"
        " (VALUES (1, 11), (2, 11), (2, 9)) AS due (target, minutes)"
    )
    assert run(schema, lambda run: give_up_orphans(run, 1)) == 1
    found = connection.execute(
        "SELECT target, failure, next_attempt_at IS NULL FROM rate_limit_alert_notifications ORDER BY id"
    ).fetchall()
    assert found == [(1, None, False), (2, "ALERT_URLS has no URL number 2", True), (2, None, False)]


def bucket(connection: psycopg.Connection, key: str, *ages_s: float) -> None:
    """Insert a bucket of the per-second rule with admissions of these ages, the oldest first."""
    last = f"now() - interval '{ages_s[-1]} seconds'" if ages_s else "'-infinity'"
    connection.execute(
        f"INSERT INTO rate_limit_buckets (key, rule_id, head, admitted, last_at) VALUES (%s, 1, %s, %s, {last})",
        (key, len(ages_s), len(ages_s)),
    )
    for slot, age_s in enumerate(ages_s):
        connection.execute(
            "INSERT INTO rate_limit_ring VALUES (%s, 1, %s, now() - make_interval(secs => %s), %s)",
            (key, slot, age_s, slot),
        )


def keys(connection: psycopg.Connection) -> list[str]:
    """Return the keys of all buckets."""
    return [key for (key,) in connection.execute("SELECT key FROM rate_limit_buckets ORDER BY key").fetchall()]


def test_idle_buckets_are_deleted(schema: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key idle for its window and the grace period leaves no rows; other keys keep theirs."""
    monkeypatch.setattr(retention, "BUCKETS", 2)
    bucket(connection, "ip:busy", 5000, 0)
    bucket(connection, "ip:graced", 5000, 590)
    bucket(connection, "ip:idle", 5000, 620)
    bucket(connection, "ip:never")
    for number in range(5):
        bucket(connection, f"ip:x{number}", 700)
    assert run(schema, retention.delete_idle) == 7
    assert keys(connection) == ["ip:busy", "ip:graced"]
    assert connection.execute("SELECT count(*) FROM rate_limit_ring").fetchone() == (4,)


def test_a_bucket_in_use_is_kept(schema: str, connection: psycopg.Connection) -> None:
    """A locked bucket is skipped without waiting; one that was used meanwhile is kept."""
    for key in ("ip:a", "ip:b"):
        bucket(connection, key, 5000)
    with psycopg.connect(schema) as check:
        check.execute("SELECT FROM rate_limit_buckets WHERE key = 'ip:a' FOR UPDATE")
        assert run(schema, retention.delete_idle) == 1
        check.execute("UPDATE rate_limit_buckets SET last_at = now() WHERE key = 'ip:a'")
    assert run(schema, retention.delete_idle) == 0
    assert keys(connection) == ["ip:a"]


def test_retention_never_loses_an_admission(start: Start) -> None:
    """A limit stays exact while idle buckets are deleted without a grace period."""
    server = start(TRUSTED_PROXIES="127.0.0.1")
    server.rule(scope="user", limit_value=3)
    stop = threading.Event()

    async def delete(run_statement: Run) -> None:
        while not stop.is_set():
            await retention.delete_idle(run_statement, 0)

    job = threading.Thread(target=run, args=(server.dsn, delete))
    job.start()
    try:
        with httpx.Client(base_url=server.base_url) as client:
            for number in range(40):
                headers = {"X-User-ID": f"user-{number}"}
                statuses = [client.get("/api/x", headers=headers).status_code for _ in range(4)]
                assert statuses == [404, 404, 404, 429]
    finally:
        stop.set()
        job.join()


def test_finished_periods_are_closed(schema: str, connection: psycopg.Connection) -> None:
    """The count of a key without further requests moves to the closed periods; the current period stays."""
    connection.execute(
        "INSERT INTO rate_limit_configs (rule_name, scope, limit_type, limit_value)"
        " VALUES ('d', 'ip', 'daily_quota', 9)"
    )
    (rule,) = connection.execute("SELECT max(id) FROM rate_limit_configs").fetchone() or (0,)
    today = "date_trunc('day', now(), 'UTC')"
    connection.execute(
        "INSERT INTO resource_quotas (key, rule_id, period_start, used, last_at) VALUES"
        f" ('ip:gone', {rule}, {today} - interval '2 days', 4, now()),"
        f" ('ip:none', {rule}, {today} - interval '2 days', 0, now()), ('ip:here', {rule}, {today}, 3, now())"
    )
    assert run(schema, retention.close_periods) == 2
    assert connection.execute("SELECT key, used FROM resource_quotas").fetchall() == [("ip:here", 3)]
    assert connection.execute("SELECT key, used FROM resource_consumption").fetchall() == [("ip:gone", 4)]


def test_one_process_at_a_time(schema: str, connection: psycopg.Connection) -> None:
    """Only the process with the lock runs the job; when the lock is free, another process does."""
    old = ROWS["system_load_history"].format(at="timestamptz '2020-01-01'")
    connection.execute(f"INSERT INTO system_load_history {old} FROM generate_series(1, 5) AS n")

    async def both_run() -> None:
        here, there = (Server(Settings(schema), None) for _ in range(2))
        for server in (here, there):
            await server.store.open()
        async with there.store.advisory_lock(retention.LOCK) as run_statement:
            assert run_statement
            await retention.upkeep(here)
            assert connection.execute("SELECT count(*) FROM system_load_history").fetchone() == (5,)
        await retention.upkeep(here)
        assert connection.execute("SELECT count(*) FROM system_load_history").fetchone() == (0,)
        for server in (here, there):
            await server.store.close()

    asyncio.run(both_run())


def test_the_job_runs_at_the_start_and_after_each_interval(start: Start, connection: psycopg.Connection) -> None:
    """Old rows of the time before the start are deleted, and so are those that become old later."""
    old = ROWS["system_load_history"].format(at="timestamptz '2020-01-01'")
    insert = f"INSERT INTO system_load_history {old} FROM generate_series(1, 5) AS n"
    counted = "SELECT count(*) FROM system_load_history WHERE sampled_at < '2021-01-01'"
    connection.execute(insert)
    start(RETENTION_INTERVAL_S="1")
    poll(lambda: connection.execute(counted).fetchone() == (0,))
    connection.execute(insert)
    poll(lambda: connection.execute(counted).fetchone() == (0,))
