"""The limiter's connection: which failures are retried, which are not, and the results of a batch's requests."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator

import psycopg
import pytest

from gaia_server.connection import TIMEOUT_S, Unavailable
from gaia_server.limiting.decide import LimiterConnection, Question
from gaia_server.limiting.decision import Decision
from gaia_server.limiting.group_commit import Rejected
from gaia_server.limiting.principals import Principal
from gaia_server.storage.store import Store
from tests.gaia_server import sql_limiter
from tests.gaia_server.sql_limiter import Connection

ADA, BOB, PEER = Principal("user", "ada"), Principal("user", "bob"), Principal("ip", "192.0.2.7")


@pytest.fixture
def connection(schema: str) -> Iterator[Connection]:
    """A connection to a database whose default rules are disabled."""
    with sql_limiter.connect(schema) as connection:
        yield connection


def run(schema: str, steps: Callable[[LimiterConnection], Awaitable[None]]) -> None:
    """Run steps with the limiter of a database."""

    async def running() -> None:
        limiter = LimiterConnection(schema, learning=False)
        try:
            async with asyncio.timeout(20):
                await steps(limiter)
        finally:
            await limiter.close()

    asyncio.run(running())


def admitted(decisions: list[Decision]) -> list[bool]:
    """Return whether each decision admits its request."""
    return [decision.admitted for decision in decisions]


def used(connection: Connection) -> int:
    """Return the number of admissions that the database counts, over all keys."""
    row = connection.execute("SELECT coalesce(sum(admitted), 0) FROM rate_limit_buckets").fetchone()
    assert row
    return int(row[0])


def test_each_request_gets_its_own_standings(schema: str, connection: Connection) -> None:
    """Requests of one batch are decided in order, each under the rules that apply to it."""
    per_user = sql_limiter.rule(connection, "requests_per_hour", 2)
    global_rule = sql_limiter.rule(connection, "requests_per_hour", 4, scope="global", resource="usage")

    async def steps(limiter: LimiterConnection) -> None:
        batch = [Question(ADA, "config"), Question(PEER, "config"), Question(ADA, "usage"), Question(BOB, "usage")]
        found = await limiter.decide(batch)
        stand = [[(s.rule_id, s.key, s.remaining) for s in decision.standings] for decision in found]
        assert stand == [
            [(per_user, "user:ada", 1)],
            [],
            [(per_user, "user:ada", 0), (global_rule, "global", 3)],
            [(per_user, "user:bob", 1), (global_rule, "global", 2)],
        ]
        assert admitted(await limiter.decide([Question(ADA, "usage"), Question(BOB, "usage")])) == [False, True]

    run(schema, steps)


def test_a_batch_without_rules_passes(schema: str, connection: Connection) -> None:
    """Without an applicable rule there is no limit, and nothing is counted."""

    async def steps(limiter: LimiterConnection) -> None:
        found = await limiter.decide([Question(ADA, "config")] * 3)
        assert [list(decision.standings) for decision in found] == [[], [], []]

    run(schema, steps)
    assert used(connection) == 0


def test_a_request_that_the_database_refuses_is_rejected(schema: str, connection: Connection) -> None:
    """A name that PostgreSQL cannot store is rejected, and the connection stays usable."""
    sql_limiter.rule(connection, "requests_per_hour", 9)

    async def steps(limiter: LimiterConnection) -> None:
        with pytest.raises(Rejected):
            await limiter.decide([Question(ADA, "config"), Question(Principal("user", "\0"), "config")])
        assert admitted(await limiter.decide([Question(ADA, "config")])) == [True]

    run(schema, steps)
    assert used(connection) == 1


def test_a_terminated_idle_session_is_replaced(schema: str, connection: Connection) -> None:
    """A connection that was lost while idle is replaced before it is used."""
    sql_limiter.rule(connection, "requests_per_hour", 9)

    async def steps(limiter: LimiterConnection) -> None:
        for number in range(3):
            assert admitted(await limiter.decide([Question(ADA, "config")])) == [True], number
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE application_name = 'gaia_server' AND datname = current_database()"
            )

    run(schema, steps)
    assert used(connection) == 3


def test_a_session_terminated_during_a_batch_counts_once(schema: str, connection: Connection) -> None:
    """A batch whose session is terminated before the commit is decided again, and counted once."""
    rule = sql_limiter.rule(connection, "requests_per_hour", 9)

    async def steps(limiter: LimiterConnection) -> None:
        await limiter.decide([Question(ADA, "config")])
        with psycopg.connect(schema) as holder:
            holder.execute("SELECT FROM rate_limit_buckets WHERE rule_id = %s FOR UPDATE", (rule,))
            waiting = asyncio.create_task(limiter.decide([Question(ADA, "config"), Question(ADA, "config")]))
            pid = await _blocked(connection)
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        assert admitted(await waiting) == [True, True]

    run(schema, steps)
    assert used(connection) == 3


def test_a_database_that_hangs_is_unavailable(schema: str, connection: Connection) -> None:
    """A batch without a result in time is cancelled and counts nothing; the next one is decided."""
    rule = sql_limiter.rule(connection, "requests_per_hour", 9)

    async def steps(limiter: LimiterConnection) -> None:
        await limiter.decide([Question(ADA, "config")])
        with psycopg.connect(schema) as holder:
            holder.execute("SELECT FROM rate_limit_buckets WHERE rule_id = %s FOR UPDATE", (rule,))
            with pytest.raises(Unavailable):
                await limiter.decide([Question(ADA, "config")])
        assert admitted(await limiter.decide([Question(ADA, "config")])) == [True]

    run(schema, steps)
    assert used(connection) == 2


def test_a_frozen_database_blocks_no_request(schema: str, connection: Connection) -> None:
    """With a database that ignores cancellation the connection is closed in time; the next batch is decided."""
    sql_limiter.rule(connection, "requests_per_hour", 9)

    async def steps(limiter: LimiterConnection) -> None:
        await limiter.decide([Question(ADA, "config")])
        row = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'gaia_server' AND datname = current_database()"
        ).fetchone()
        assert row
        os.kill(row[0], signal.SIGSTOP)
        try:
            started = time.monotonic()
            with pytest.raises(Unavailable):
                await limiter.decide([Question(ADA, "config")])
            assert time.monotonic() - started < TIMEOUT_S + 2
            assert admitted(await limiter.decide([Question(ADA, "config")])) == [True]
        finally:
            os.kill(row[0], signal.SIGCONT)

    run(schema, steps)
    assert used(connection) in (2, 3)  # resumed, it may execute the statement


def test_a_rule_deleted_meanwhile_is_ignored(schema: str, connection: Connection) -> None:
    """A batch that waits for a counter which is then deleted is decided again, without it."""
    going = sql_limiter.rule(connection, "requests_per_hour", 9)
    staying = sql_limiter.rule(connection, "requests_per_minute", 9)

    async def steps(limiter: LimiterConnection) -> None:
        await limiter.decide([Question(ADA, "config")])
        with psycopg.connect(schema) as holder:
            holder.execute("DELETE FROM rate_limit_configs WHERE id = %s", (going,))
            waiting = asyncio.create_task(limiter.decide([Question(ADA, "config")]))
            await _blocked(connection)
        (decision,) = await waiting
        assert [(standing.rule_id, standing.remaining) for standing in decision.standings] == [(staying, 7)]

    run(schema, steps)


def test_a_rule_that_refuses_can_be_deleted(schema: str, connection: Connection) -> None:
    """The deletion waits for a batch that is about to store its refusal, and locks nothing that the batch needs."""
    going = sql_limiter.rule(connection, "requests_per_hour", 0, value="ada")
    other = sql_limiter.rule(connection, "requests_per_hour", 9, value="bob")
    connection.execute(
        f"ALTER DATABASE {connection.info.dbname} SET deadlock_timeout = '60s'"
    )  # no deadlock is resolved

    async def steps(limiter: LimiterConnection) -> None:
        await limiter.decide([Question(ADA, "config"), Question(BOB, "config")])
        connection.execute("DELETE FROM rate_limit_violations")  # the next refusal inserts a row
        store = Store(schema)
        await store.open()
        with psycopg.connect(schema) as holder:
            holder.execute("SELECT FROM rate_limit_buckets WHERE rule_id = %s FOR UPDATE", (other,))
            deciding = asyncio.create_task(limiter.decide([Question(ADA, "config"), Question(BOB, "config")]))
            await _blocked(connection)
            deleting = asyncio.create_task(store.delete_rule(going))
            await _blocked(connection, 2)
        assert admitted(await deciding) == [False, True]
        assert await deleting
        await store.close()

    run(schema, steps)


async def _blocked(connection: Connection, count: int = 1) -> int:
    """Wait until `count` of the server's sessions wait for a lock; return the pid of one."""
    while True:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'gaia_server' AND wait_event_type = 'Lock'"
            " AND datname = current_database()"
        ).fetchall()
        if len(rows) >= count:
            return int(rows[0][0])
        await asyncio.sleep(0.01)
