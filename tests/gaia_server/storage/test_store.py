"""Transactions of a process that stopped in between."""

import asyncio

import psycopg
import pytest

from gaia_server.connection import Unavailable
from gaia_server.storage.store import Run, Store
from tests.gaia_server.conftest import poll


def test_a_process_that_stops_within_a_transaction_does_not_keep_its_locks(schema: str) -> None:
    """The database ends the session, and the process learns it as an unavailable database."""

    async def stopped(store: Store, other: psycopg.Connection) -> None:
        await store.open()

        async def work(run: Run) -> None:
            await run("SELECT pg_advisory_xact_lock(1)")
            taken = "SELECT pg_try_advisory_xact_lock(1)"
            poll(lambda: other.execute(taken).fetchone() == (True,))  # the event loop stands still meanwhile
            await run("SELECT 1")

        with pytest.raises(Unavailable):
            await store.transaction(work)
        await store.ping()
        await store.close()

    with psycopg.connect(schema, autocommit=True) as other:
        asyncio.run(stopped(Store(schema), other))
