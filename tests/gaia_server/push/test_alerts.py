"""Alerts: each process reports each change once, and all processes share one alert."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from gaia_server.push.alerts import VIOLATIONS_RULE, AlertWatch, Episode
from gaia_server.storage.alert_history import Evaluation, evaluate
from gaia_server.storage.store import Store

START = datetime(2026, 2, 26, 10, tzinfo=UTC)


def episode(number: int, *, over: bool = False) -> Episode:
    """Return the alert's nth episode."""
    fired_at = START + timedelta(hours=number)
    resolved = (3, fired_at + timedelta(minutes=2)) if over else (None, None)
    return Episode(number, "a", "warning", "says", 100, 101, fired_at, *resolved)


@pytest.mark.parametrize(
    ("stored", "reported"),
    [
        ([None, None], []),
        ([None, episode(1), episode(1)], ["firing"]),
        ([None, episode(1), episode(1, over=True), episode(1, over=True)], ["firing", "resolved"]),
        ([episode(1, over=True), episode(1, over=True)], []),  # it was resolved before this process started
        ([episode(1), episode(1)], ["firing"]),
        ([episode(1, over=True), episode(2)], ["firing"]),
        ([episode(1), episode(2)], ["firing", "firing"]),  # resolved and fired again between two evaluations
    ],
)
def test_each_change_is_reported_once(stored: list[Episode | None], reported: list[str]) -> None:
    """Only a change is reported, whichever process made it."""
    watch = AlertWatch()
    assert [found.state for one in stored if (found := watch.update(one))] == reported


def test_alert_message() -> None:
    """The message of a resolved alert has the time it fired and the current value."""
    data = episode(0, over=True).to_json()
    assert (data["since"], data["at"]) == ("2026-02-26T10:00:00.000Z", "2026-02-26T10:02:00.000Z")
    assert (data["state"], data["value"], data["threshold"]) == ("resolved", 3, 100)


@contextmanager
def violations(dsn: str) -> Iterator[psycopg.Connection]:
    """Open a connection beside the stores."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


async def evaluations(stores: list[Store]) -> list[Evaluation]:
    """Evaluate the rule in each store, one after the other."""
    return [await evaluate(store, VIOLATIONS_RULE) for store in stores]


def test_processes_share_one_alert(schema: str) -> None:
    """One process fires the alert, one resolves it, all read it; then it can fire again."""
    import asyncio

    async def fire_and_resolve() -> None:
        stores = [Store(schema) for _ in range(3)]
        for store in stores:
            await store.open()
        with violations(schema) as connection:
            assert [one.newest for one in await evaluations(stores)] == [None] * 3
            for turn in (1, 2):
                connection.execute(
                    "INSERT INTO rate_limit_violations (rule_id, key, resource_type, occurred_at, last_at, hits)"
                    " VALUES (1, 'ip:192.0.2.7', 'other', date_trunc('second', now()), now(), 101)"
                )
                fired = await evaluations(stores)
                assert [one.counted for one in fired] == [101] * 3
                assert [one.changed for one in fired] == [True, False, False]
                assert len({one.newest for one in fired}) == 1
                connection.execute("DELETE FROM rate_limit_violations")
                resolved = list(await asyncio.gather(*(evaluate(store, VIOLATIONS_RULE) for store in stores)))
                assert [one.changed for one in resolved].count(True) == 1
                assert {one.newest.state for one in await evaluations(stores) if one.newest} == {"resolved"}
                assert connection.execute("SELECT count(*) FROM rate_limit_alerts").fetchone() == (turn,)
        for store in stores:
            await store.close()

    asyncio.run(fire_and_resolve())
