"""The limiter's connection: what is tried again, what is not, and what a batch gives each of its requests."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator

import psycopg
import pytest

from gaia_server.connection import TIMEOUT_S, Unavailable
from gaia_server.limiting.decide import Checks, Question
from gaia_server.limiting.decision import Decision
from gaia_server.limiting.group_commit import Rejected
from gaia_server.limiting.principal import Principal
from gaia_server.storage.store import Store
from tests.gaia_server import asking
from tests.gaia_server.asking import Connection

ADA, BOB, PEER = Principal("user", "ada"), Principal("user", "bob"), Principal("ip", "192.0.2.7")


@pytest.fixture
def connection(schema: str) -> Iterator[Connection]:
    """A connection to a database whose default rules are off."""
    with asking.connect(schema) as connection:
        yield connection


def play(schema: str, scene: Callable[[Checks], Awaitable[None]]) -> None:
    """Play a scene with the limiter of a database."""

    async def playing() -> None:
        checks = Checks(schema, learning=False)
        try:
            async with asyncio.timeout(20):
                await scene(checks)
        finally:
            await checks.close()

    asyncio.run(playing())


def admitted(decisions: list[Decision]) -> list[bool]:
    """Who passes."""
    return [decision.admitted for decision in decisions]


def used(connection: Connection) -> int:
    """How many admissions the database counts, over all keys."""
    row = connection.execute("SELECT coalesce(sum(admitted), 0) FROM rate_limit_buckets").fetchone()
    assert row
    return int(row[0])


def test_each_request_gets_its_own_standings(schema: str, connection: Connection) -> None:
    """Requests of one batch are decided in their order, each under the rules that apply to it."""
    per_user = asking.rule(connection, "requests_per_hour", 2)
    everybody = asking.rule(connection, "requests_per_hour", 4, scope="global", resource="usage")

    async def scene(checks: Checks) -> None:
        batch = [Question(ADA, "config"), Question(PEER, "config"), Question(ADA, "usage"), Question(BOB, "usage")]
        found = await checks.decide(batch)
        stand = [[(s.rule_id, s.key, s.remaining) for s in decision.standings] for decision in found]
        assert stand == [
            [(per_user, "user:ada", 1)],
            [],
            [(per_user, "user:ada", 0), (everybody, "global", 3)],
            [(per_user, "user:bob", 1), (everybody, "global", 2)],
        ]
        assert admitted(await checks.decide([Question(ADA, "usage"), Question(BOB, "usage")])) == [False, True]

    play(schema, scene)


def test_a_batch_without_rules_passes(schema: str, connection: Connection) -> None:
    """Where no rule applies there is no limit, and nothing is counted."""

    async def scene(checks: Checks) -> None:
        found = await checks.decide([Question(ADA, "config")] * 3)
        assert [list(decision.standings) for decision in found] == [[], [], []]

    play(schema, scene)
    assert used(connection) == 0


def test_a_question_that_the_database_refuses_is_named(schema: str, connection: Connection) -> None:
    """A name that PostgreSQL cannot store is rejected, and the connection goes on."""
    asking.rule(connection, "requests_per_hour", 9)

    async def scene(checks: Checks) -> None:
        with pytest.raises(Rejected):
            await checks.decide([Question(ADA, "config"), Question(Principal("user", "\0"), "config")])
        assert admitted(await checks.decide([Question(ADA, "config")])) == [True]

    play(schema, scene)
    assert used(connection) == 1


def test_an_ended_session_is_not_noticed(schema: str, connection: Connection) -> None:
    """A connection that died while idle is replaced before anything is said on it."""
    asking.rule(connection, "requests_per_hour", 9)

    async def scene(checks: Checks) -> None:
        for number in range(3):
            assert admitted(await checks.decide([Question(ADA, "config")])) == [True], number
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE application_name = 'gaia_server' AND datname = current_database()"
            )

    play(schema, scene)
    assert used(connection) == 3


def test_a_session_that_ends_in_the_middle_counts_once(schema: str, connection: Connection) -> None:
    """A batch whose session is ended before it could commit is decided again, and counted once."""
    rule = asking.rule(connection, "requests_per_hour", 9)

    async def scene(checks: Checks) -> None:
        await checks.decide([Question(ADA, "config")])
        with psycopg.connect(schema) as holder:
            holder.execute("SELECT FROM rate_limit_buckets WHERE rule_id = %s FOR UPDATE", (rule,))
            waiting = asyncio.create_task(checks.decide([Question(ADA, "config"), Question(ADA, "config")]))
            pid = await _blocked(connection)
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        assert admitted(await waiting) == [True, True]

    play(schema, scene)
    assert used(connection) == 3


def test_a_database_that_hangs_is_unavailable(schema: str, connection: Connection) -> None:
    """A batch that gets no answer in time is given up and counts nothing; the next one is decided."""
    rule = asking.rule(connection, "requests_per_hour", 9)

    async def scene(checks: Checks) -> None:
        await checks.decide([Question(ADA, "config")])
        with psycopg.connect(schema) as holder:
            holder.execute("SELECT FROM rate_limit_buckets WHERE rule_id = %s FOR UPDATE", (rule,))
            with pytest.raises(Unavailable):
                await checks.decide([Question(ADA, "config")])
        assert admitted(await checks.decide([Question(ADA, "config")])) == [True]

    play(schema, scene)
    assert used(connection) == 2


def test_a_database_that_is_frozen_holds_nobody(schema: str, connection: Connection) -> None:
    """One that takes no cancellation either is given up as soon, with its connection; the next batch is decided."""
    asking.rule(connection, "requests_per_hour", 9)

    async def scene(checks: Checks) -> None:
        await checks.decide([Question(ADA, "config")])
        row = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'gaia_server' AND datname = current_database()"
        ).fetchone()
        assert row
        os.kill(row[0], signal.SIGSTOP)
        try:
            started = time.monotonic()
            with pytest.raises(Unavailable):
                await checks.decide([Question(ADA, "config")])
            assert time.monotonic() - started < TIMEOUT_S + 2
            assert admitted(await checks.decide([Question(ADA, "config")])) == [True]
        finally:
            os.kill(row[0], signal.SIGCONT)

    play(schema, scene)
    assert used(connection) in (2, 3)  # thawed, it may find what it was asked


def test_a_rule_deleted_meanwhile_is_left_out(schema: str, connection: Connection) -> None:
    """A batch that waits for a counter which then goes is decided anew, without it."""
    going = asking.rule(connection, "requests_per_hour", 9)
    staying = asking.rule(connection, "requests_per_minute", 9)

    async def scene(checks: Checks) -> None:
        await checks.decide([Question(ADA, "config")])
        with psycopg.connect(schema) as holder:
            holder.execute("DELETE FROM rate_limit_configs WHERE id = %s", (going,))
            waiting = asyncio.create_task(checks.decide([Question(ADA, "config")]))
            await _blocked(connection)
        (decision,) = await waiting
        assert [(standing.rule_id, standing.remaining) for standing in decision.standings] == [(staying, 7)]

    play(schema, scene)


def test_a_rule_that_refuses_can_be_deleted(schema: str, connection: Connection) -> None:
    """Who deletes it waits for a batch that is about to write down its refusal, and holds nothing that one needs."""
    going = asking.rule(connection, "requests_per_hour", 0, value="ada")
    other = asking.rule(connection, "requests_per_hour", 9, value="bob")
    connection.execute(f"ALTER DATABASE {connection.info.dbname} SET deadlock_timeout = '60s'")  # nobody is let off

    async def scene(checks: Checks) -> None:
        await checks.decide([Question(ADA, "config"), Question(BOB, "config")])
        connection.execute("DELETE FROM rate_limit_violations")  # a second has one row, and this is another
        store = Store(schema)
        await store.open()
        with psycopg.connect(schema) as holder:
            holder.execute("SELECT FROM rate_limit_buckets WHERE rule_id = %s FOR UPDATE", (other,))
            deciding = asyncio.create_task(checks.decide([Question(ADA, "config"), Question(BOB, "config")]))
            await _blocked(connection)
            deleting = asyncio.create_task(store.delete_rule(going))
            await _blocked(connection, 2)
        assert admitted(await deciding) == [False, True]
        assert await deleting
        await store.close()

    play(schema, scene)


async def _blocked(connection: Connection, count: int = 1) -> int:
    """Return one of the server's sessions that wait for a lock, once so many do."""
    while True:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'gaia_server' AND wait_event_type = 'Lock'"
            " AND datname = current_database()"
        ).fetchall()
        if len(rows) >= count:
            return int(rows[0][0])
        await asyncio.sleep(0.01)
