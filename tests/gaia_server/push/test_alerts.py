"""Alerts: what each process tells, and how all of them come to the same alert."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from gaia_server.push.alerts import VIOLATIONS_RULE, Episode, Watch
from gaia_server.storage.alert_history import Look, look
from gaia_server.storage.store import Store

START = datetime(2026, 2, 26, 10, tzinfo=UTC)


def episode(number: int, *, over: bool = False) -> Episode:
    """The alert's nth time."""
    fired_at = START + timedelta(hours=number)
    resolved = (3, fired_at + timedelta(minutes=2)) if over else (None, None)
    return Episode(number, "a", "warning", "says", 100, 101, fired_at, *resolved)


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        ([None, None], []),
        ([None, episode(1), episode(1)], ["firing"]),
        ([None, episode(1), episode(1, over=True), episode(1, over=True)], ["firing", "resolved"]),
        ([episode(1, over=True), episode(1, over=True)], []),  # it was over before this process began
        ([episode(1), episode(1)], ["firing"]),
        ([episode(1, over=True), episode(2)], ["firing"]),
        ([episode(1), episode(2)], ["firing", "firing"]),  # resolved and fired again between two looks
    ],
)
def test_each_change_is_told_once(seen: list[Episode | None], told: list[str]) -> None:
    """Only a change is told, whichever process made it."""
    watch = Watch()
    assert [found.state for one in seen if (found := watch.see(one))] == told


def test_what_a_message_says() -> None:
    """A resolved alert says since when it fired, and what the number is now."""
    told = episode(0, over=True).to_json()
    assert (told["since"], told["at"]) == ("2026-02-26T10:00:00.000Z", "2026-02-26T10:02:00.000Z")
    assert (told["state"], told["value"], told["threshold"]) == ("resolved", 3, 100)


@contextmanager
def violations(dsn: str) -> Iterator[psycopg.Connection]:
    """A connection beside the stores."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


async def looked(stores: list[Store]) -> list[Look]:
    """What all see, one after the other."""
    return [await look(store, VIOLATIONS_RULE) for store in stores]


def test_processes_share_one_alert(schema: str) -> None:
    """One of them fires it, one resolves it, all see it; then it can fire anew."""
    import asyncio

    async def story() -> None:
        stores = [Store(schema) for _ in range(3)]
        for store in stores:
            await store.open()
        with violations(schema) as connection:
            assert [one.newest for one in await looked(stores)] == [None] * 3
            for turn in (1, 2):
                connection.execute(
                    "INSERT INTO rate_limit_violations (rule_id, key, resource_type, occurred_at, last_at, hits)"
                    " VALUES (1, 'ip:192.0.2.7', 'other', date_trunc('second', now()), now(), 101)"
                )
                fired = await looked(stores)
                assert [one.counted for one in fired] == [101] * 3
                assert [one.changed for one in fired] == [True, False, False]
                assert len({one.newest for one in fired}) == 1
                connection.execute("DELETE FROM rate_limit_violations")
                resolved = list(await asyncio.gather(*(look(store, VIOLATIONS_RULE) for store in stores)))
                assert [one.changed for one in resolved].count(True) == 1
                assert {one.newest.state for one in await looked(stores) if one.newest} == {"resolved"}
                assert connection.execute("SELECT count(*) FROM rate_limit_alerts").fetchone() == (turn,)
        for store in stores:
            await store.close()

    asyncio.run(story())
