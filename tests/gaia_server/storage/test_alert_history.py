"""The evaluation of alert rules on a real database: each metric, shared by several processes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import psycopg
import pytest

from gaia_server.push.alerts import METRICS, AlertRuleFields
from gaia_server.storage import alert_history, alert_rules, alert_values
from gaia_server.storage.alert_history import Evaluation, evaluate
from gaia_server.storage.store import Store

_Result = TypeVar("_Result")


@pytest.fixture
def connection(schema: str) -> Iterator[psycopg.Connection]:
    """A connection beside the stores."""
    with psycopg.connect(schema, autocommit=True) as connection:
        yield connection


@asynccontextmanager
async def opened(dsn: str, count: int) -> AsyncIterator[list[Store]]:
    """Open the stores of several processes."""
    stores = [Store(dsn) for _ in range(count)]
    for store in stores:
        await store.open()
    try:
        yield stores
    finally:
        for store in stores:
            await store.close()


def run(dsn: str, work: Callable[..., Awaitable[_Result]], *, processes: int = 1) -> _Result:
    """Do `work` with the stores of so many processes."""

    async def running() -> _Result:
        async with opened(dsn, processes) as stores:
            return await work(*stores)

    return asyncio.run(running())


def refuse(connection: psycopg.Connection, hits: int, rule_id: int = 1) -> None:
    """Store refusals of this second."""
    connection.execute(
        "INSERT INTO rate_limit_violations (rule_id, key, resource_type, occurred_at, last_at, hits)"
        " VALUES (%s, 'ip:192.0.2.7', 'other', date_trunc('second', now()), now(), %s)",
        (rule_id, hits),
    )


def only(connection: psycopg.Connection, **fields: Any) -> None:
    """Replace all alert rules by one."""
    connection.execute("DELETE FROM rate_limit_alert_rules")
    given = {"name": "a", "threshold": 0, "clear_threshold": 0, **fields}
    names, places = ", ".join(given), ", ".join(f"%({name})s" for name in given)
    connection.execute(f"INSERT INTO rate_limit_alert_rules ({names}) VALUES ({places})", given)


def value(dsn: str, **options: Any) -> int:
    """Return the value of the only alert rule."""
    ((_, found),) = run(dsn, lambda store: evaluate(store, list(METRICS), **options)).values
    assert found is not None
    return found


def test_processes_share_one_alert(schema: str, connection: psycopg.Connection) -> None:
    """One process fires the alert, one resolves it, all read it; then it can fire again."""

    async def all_at_once(stores: tuple[Store, ...]) -> list[Evaluation]:
        return list(await asyncio.gather(*(evaluate(store, list(METRICS)) for store in stores)))

    async def fire_and_resolve(*stores: Store) -> None:
        assert [one.episodes for one in await all_at_once(stores)] == [[]] * 3
        for turn in (1, 2):
            refuse(connection, 101)
            fired = await all_at_once(stores)
            assert [one.violations for one in fired] == [101] * 3
            assert sum(len(one.changed) for one in fired) == 1
            (episode,) = (await evaluate(stores[0], list(METRICS))).episodes
            assert (episode.name, episode.value, episode.state) == ("violations_per_minute", 101, "firing")
            connection.execute("DELETE FROM rate_limit_violations")
            resolved = await all_at_once(stores)
            assert [found.state for one in resolved for found in one.episodes if one.changed] == ["resolved"]
            assert [one.episodes for one in await all_at_once(stores)] == [[]] * 3
            assert connection.execute("SELECT count(*) FROM rate_limit_alerts").fetchone() == (turn,)

    run(schema, fire_and_resolve, processes=3)


def test_another_process_decides_while_the_lock_is_taken(schema: str, connection: psycopg.Connection) -> None:
    """A process that finds the lock taken fires nothing, but reads everything."""
    refuse(connection, 101)
    with psycopg.connect(schema) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (alert_history.LOCK,))
        found = run(schema, lambda store: evaluate(store, list(METRICS)))
        assert (found.violations, found.changed, found.episodes) == (101, set(), [])
    assert run(schema, lambda store: evaluate(store, list(METRICS))).changed


def test_hysteresis(schema: str, connection: psycopg.Connection) -> None:
    """Between its thresholds an alert keeps its state."""
    only(connection, metric="violations_per_minute", threshold=100, clear_threshold=50)
    states = []
    for hits in (80, 101, 80, 50, 80):
        connection.execute("DELETE FROM rate_limit_violations")
        refuse(connection, hits)
        found = run(schema, lambda store: evaluate(store, list(METRICS)))
        states.append([one.state for one in found.episodes])
    assert states == [[], ["firing"], ["firing"], ["resolved"], []]


def test_a_value_must_hold(schema: str, connection: psycopg.Connection) -> None:
    """An alert with a time waits for it, on the database's clock, across processes; a lower value starts it anew."""
    only(connection, metric="violations_per_minute", threshold=100, clear_threshold=100, for_s=60)
    measured(connection, "here", 0)

    def evaluated() -> tuple[bool, bool]:
        run(schema, lambda store: evaluate(store, list(METRICS)))
        row = connection.execute(
            "SELECT pending_since IS NOT NULL, EXISTS (SELECT FROM rate_limit_alerts) FROM rate_limit_alert_rules"
        ).fetchone()
        assert row
        return row[0], row[1]

    refuse(connection, 101)
    assert evaluated() == (True, False)
    connection.execute("UPDATE rate_limit_alert_rules SET pending_since = pending_since - interval '59 seconds'")
    connection.execute("UPDATE rate_limit_violations SET hits = 100")
    assert evaluated() == (False, False)
    connection.execute("UPDATE rate_limit_violations SET hits = 101")
    assert evaluated() == (True, False)
    connection.execute("UPDATE rate_limit_alert_rules SET pending_since = pending_since - interval '60 seconds'")
    assert evaluated() == (False, True)


def test_a_time_in_which_all_servers_were_stopped_does_not_count(schema: str, connection: psycopg.Connection) -> None:
    """What was above its threshold before starts to wait anew when a process measures again."""
    only(connection, metric="violations_per_minute", for_s=60)
    refuse(connection, 1)
    measured(connection, "here", 20)
    connection.execute("UPDATE rate_limit_alert_rules SET pending_since = now() - interval '1 hour'")
    for age_s in (20, 0):
        connection.execute("UPDATE server_measurements SET measured_at = now() - make_interval(secs => %s)", (age_s,))
        assert run(schema, lambda store: evaluate(store, list(METRICS))).changed == set()
    waits = "SELECT pending_since > now() - interval '1 minute' FROM rate_limit_alert_rules"
    assert connection.execute(waits).fetchone() == (True,)


def test_all_rules_change_at_once(schema: str, connection: psycopg.Connection) -> None:
    """All alerts fire in one evaluation, and resolve in one."""
    only(connection, metric="violations_per_minute")
    connection.execute(
        "INSERT INTO rate_limit_alert_rules (name, metric, threshold, clear_threshold)"
        " SELECT 'rule ' || n, 'violations_per_minute', 0, 0 FROM generate_series(1, 199) AS n"
    )
    refuse(connection, 1)
    for state in ("firing", "resolved"):
        found = run(schema, lambda store: evaluate(store, list(METRICS), targets=1))
        assert (len(found.changed), {one.state for one in found.episodes}) == (200, {state})
        connection.execute("DELETE FROM rate_limit_violations")


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM rate_limit_alert_rules",
        "UPDATE rate_limit_alert_rules SET enabled = false",
        "UPDATE rate_limit_alert_rules SET name = 'b', threshold = 1000",
        "DELETE FROM rate_limit_configs WHERE id = 1",
    ],
)
def test_an_alert_without_its_rule_resolves(schema: str, connection: psycopg.Connection, change: str) -> None:
    """An alert does not outlive its rule, nor the rate limit rule that it is about."""
    only(connection, metric="violations_per_minute", rule_id=1)
    refuse(connection, 1)
    (fired,) = run(schema, lambda store: evaluate(store, list(METRICS))).changed
    connection.execute(change)
    found = run(schema, lambda store: evaluate(store, list(METRICS)))
    assert [(one.id, one.state, one.resolved_value) for one in found.episodes] == [(fired, "resolved", 1)]


def test_violations_of_one_rule(schema: str, connection: psycopg.Connection) -> None:
    """A rule of one rate limit rule counts the refusals of that rule only."""
    refuse(connection, 5, rule_id=1)
    refuse(connection, 7, rule_id=2)
    only(connection, metric="violations_per_minute", rule_id=2)
    assert value(schema) == 7
    only(connection, metric="violations_per_minute")
    assert value(schema) == 12


def test_an_evaluation_reads_the_last_minute_only(connection: psycopg.Connection) -> None:
    """Twice a second nobody reads all violations of the retention."""
    connection.execute(
        "INSERT INTO rate_limit_violations (rule_id, key, resource_type, occurred_at, last_at)"
        " SELECT 1, 'ip:192.0.2.7', 'other', at, at FROM generate_series(1, 20000) AS n,"
        " date_trunc('second', now() - interval '1 hour' - n * interval '1 second') AS at"
    )
    only(connection, metric="violations_per_minute", rule_id=1)
    connection.execute("ANALYZE")
    given = alert_values.arguments(list(METRICS), reputation=False)
    plan = connection.execute("EXPLAIN " + alert_values.READ, given).fetchall()
    assert "Index" in str(plan)
    assert "Seq Scan on rate_limit_violations" not in str(plan)


def bucket(connection: psycopg.Connection, key: str, rule_id: int, used: int) -> None:
    """Store a window's count of just now."""
    connection.execute(
        "INSERT INTO rate_limit_buckets (key, rule_id, head, admitted, last_at, oldest_at)"
        " VALUES (%s, %s, 1, %s, clock_timestamp(), clock_timestamp())",
        (key, rule_id, used),
    )
    connection.execute(
        "INSERT INTO rate_limit_ring (key, rule_id, slot, admitted_at, before)"
        " VALUES (%s, %s, 0, clock_timestamp(), 0)",
        (key, rule_id),
    )


def test_utilisation(schema: str, connection: psycopg.Connection) -> None:
    """The most used limit counts: of windows and of quotas, of one rule or of all that are enabled."""
    only(connection, metric="limit_utilisation_percent")
    assert value(schema) == 0
    connection.execute("UPDATE rate_limit_configs SET limit_value = 1000 WHERE id = 3")
    bucket(connection, "ip:a", 3, 701)
    bucket(connection, "ip:b", 3, 800)
    assert value(schema) == 80
    connection.execute(
        "INSERT INTO rate_limit_configs (rule_name, scope, limit_type, limit_value) VALUES"
        " ('quota', 'ip', 'daily_quota', 300), ('off', 'ip', 'daily_quota', 1)"
    )
    connection.execute("UPDATE rate_limit_configs SET enabled = false WHERE rule_name = 'off'")
    connection.execute(
        "INSERT INTO resource_quotas (key, rule_id, period_start, used, last_at)"
        " SELECT 'ip:a', id, rate_limit_period_start('daily_quota', now()), limit_value * 0.95, now()"
        " FROM rate_limit_configs WHERE rule_name IN ('quota', 'off')"
    )
    assert value(schema) == 95
    only(connection, metric="limit_utilisation_percent", rule_id=3)
    assert value(schema) == 80


def test_utilisation_of_a_users_own_limit(schema: str, connection: psycopg.Connection) -> None:
    """With reputation, the limit of the user's tier counts."""
    connection.execute("UPDATE rate_limit_configs SET scope = 'user', limit_value = 1000 WHERE id = 3")
    connection.execute("INSERT INTO reputation_scores (key, score) VALUES ('user:ada', 10)")  # half the limit
    bucket(connection, "user:ada", 3, 400)
    only(connection, metric="limit_utilisation_percent")
    assert (value(schema), value(schema, reputation=True)) == (40, 80)


def measured(connection: psycopg.Connection, instance: str, age_s: int, **fields: int) -> None:
    """Store what a process measured of itself."""
    given = {"memory_bytes": 0, "pool_in_use": 0, "pool_max": 10, "load_percent": 0, "requests": 0, "errors": 0}
    connection.execute(
        f"INSERT INTO server_measurements (instance, measured_at, {', '.join(given)}) VALUES (%(instance)s,"
        f" now() - make_interval(secs => %(age_s)s), {', '.join(f'%({name})s' for name in given)})",
        {**given, **fields, "instance": instance, "age_s": age_s},
    )


@pytest.mark.parametrize(
    ("metric", "here", "there", "stopped", "expected"),
    [
        ("memory_mb", {"memory_bytes": 100_000_001}, {"memory_bytes": 1}, {"memory_bytes": 9e9}, 101),
        ("pool_use_percent", {"pool_in_use": 2, "pool_max": 3}, {"pool_in_use": 1}, {"pool_in_use": 10}, 67),
        ("system_load_percent", {"load_percent": 150}, {"load_percent": 20}, {"load_percent": 900}, 150),
        ("error_percent", {"requests": 900, "errors": 9}, {"requests": 100}, {"requests": 1, "errors": 1}, 1),
        ("error_percent", {"requests": 1000, "errors": 11}, {}, {}, 2),
        ("error_percent", {}, {}, {}, 0),
    ],
)
def test_measurements(
    schema: str,
    connection: psycopg.Connection,
    metric: str,
    here: dict[str, int],
    there: dict[str, int],
    stopped: dict[str, int],
    expected: int,
) -> None:
    """Values of all processes that run are combined, and rounded up; a process that stopped does not count."""
    for instance, age_s, fields in (("here", 0, here), ("there", 5, there), ("stopped", 20, stopped)):
        measured(connection, instance, age_s, **fields)
    only(connection, metric=metric)
    assert value(schema) == expected


def test_without_a_measurement_an_alert_goes_on(schema: str, connection: psycopg.Connection) -> None:
    """While all servers restart nothing is measured: that resolves nothing and fires nothing."""
    only(connection, metric="memory_mb")
    measured(connection, "before", 0, memory_bytes=1)
    (fired,) = run(schema, lambda store: evaluate(store, list(METRICS))).changed
    connection.execute("UPDATE server_measurements SET measured_at = measured_at - interval '1 minute'")
    found = run(schema, lambda store: evaluate(store, list(METRICS)))
    assert ([one.id for one in found.episodes], found.changed, found.values[0][1]) == ([fired], set(), None)
    measured(connection, "after", 0, memory_bytes=0)
    assert run(schema, lambda store: evaluate(store, list(METRICS))).changed == {fired}


def test_a_restart_keeps_alerts_and_acknowledgements(schema: str, connection: psycopg.Connection) -> None:
    """A process that starts while an alert fires finds it with its acknowledgement; the first one stays."""
    refuse(connection, 101)
    (fired,) = run(schema, lambda store: evaluate(store, list(METRICS))).changed
    assert run(schema, lambda store: alert_history.acknowledge(store, fired, "ada"))
    assert run(schema, lambda store: alert_history.acknowledge(store, fired, "bob"))
    (episode,) = run(schema, lambda store: evaluate(store, list(METRICS))).episodes
    assert (episode.id, episode.state, episode.acknowledged_by) == (fired, "firing", "ada")
    connection.execute("DELETE FROM rate_limit_violations")
    run(schema, lambda store: evaluate(store, list(METRICS)))
    assert not run(schema, lambda store: alert_history.acknowledge(store, fired, "bob"))


def test_only_the_built_in_rule_is_enabled_by_default(schema: str) -> None:
    """The promises about alerts hold without any configuration; the other rules are there to be enabled."""

    async def rules(store: Store) -> dict[str, bool]:
        page = await store.page(alert_rules.ALERT_RULES, {}, limit=50, offset=0)
        return {row["name"]: row["enabled"] for row in page.items}

    found = run(schema, rules)
    assert [name for name, enabled in found.items() if enabled] == ["violations_per_minute"]
    assert len(found) == 7


def test_a_new_version_starts_to_wait_anew(schema: str, connection: psycopg.Connection) -> None:
    """Replacing a rule forgets since when its value is above the threshold."""
    only(connection, metric="violations_per_minute", for_s=60)
    measured(connection, "here", 0)
    refuse(connection, 1)
    run(schema, lambda store: evaluate(store, list(METRICS)))
    (rule_id,) = (
        connection.execute("SELECT id FROM rate_limit_alert_rules WHERE pending_since IS NOT NULL").fetchone() or ()
    )
    wanted = AlertRuleFields(
        name="a", metric="violations_per_minute", threshold=0, clear_threshold=0, for_s=60, severity="info"
    )
    replaced = run(schema, lambda store: alert_rules.replace(store, rule_id, wanted))
    assert replaced
    assert (replaced.severity, replaced.pending_since) == ("info", None)
