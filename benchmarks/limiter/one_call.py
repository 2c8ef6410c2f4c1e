"""The limiter without group commit: one atomic SQL call per request, in parallel up to the size of the pool."""

from collections.abc import Sequence
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from gaia_server import connection
from gaia_server.app_state import Server
from gaia_server.limiting import decide
from gaia_server.limiting.decide import CHECK, Question, decisions
from gaia_server.limiting.decision import Decision, Standing
from gaia_server.storage.store import POOL_SIZE

LIMIT = 1000
"""Limit of the lean function, per minute and key: the number of rows in a key's ring."""


class Calls:
    """A pool of connections, each used for one request at a time."""

    def __init__(self, dsn: str) -> None:
        self._pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
            dsn,
            kwargs=connection.arguments(),
            configure=decide.configure,
            min_size=POOL_SIZE,
            open=False,
        )

    async def product(self, question: Question) -> Decision:
        """Decide with the product's function, as a batch of one."""
        principal, resource_type = question
        row = await self._row(CHECK, ([principal.scope], [principal.value], [resource_type], False))
        return decisions([question], row)[0]

    async def lean(self, question: Question) -> Decision:
        """Decide with the leanest exact function: one rule that applies to all users."""
        key = question.principal.key
        admitted, at = await self._row("SELECT * FROM one_call(%s, %s, interval '1 minute')", (key, LIMIT))
        rule = Standing(0, "lean", "user", "requests_per_minute", LIMIT, key, admitted, LIMIT, 60_000_000, at)
        return Decision([rule])

    async def _row(self, query: LiteralString, arguments: Sequence[Any]) -> tuple[Any, ...]:
        await self._pool.open()
        async with self._pool.connection() as one, one.cursor(binary=True) as cursor:
            await cursor.execute(query, arguments, prepare=True)
            row: tuple[Any, ...] = await cursor.fetchone() or ()
            return row


def replace(server: Server, how: str) -> None:
    """Replace a server's batcher by one-call decisions: `product` or `lean`."""
    calls = Calls(server.settings.database_url)
    server.batcher.ask = {"product": calls.product, "lean": calls.lean}[how]  # type: ignore[method-assign]
