"""PostgreSQL connections: their arguments, timeouts, and the check that an idle connection is usable."""

import asyncio
import select
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, LiteralString, Self, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.rows import scalar_row

APPLICATION_NAME = "gaia_server"
TIMEOUT_S = 2.0
"""How long a request waits for the database before it is answered 503."""

CANCEL_S = 0.25
"""How long the database may take to cancel a statement: one that waits for a lock is cancelled and counts nothing."""

POOLER_TURNS = 10

_PARAMETERS: LiteralString = """
    SELECT set_config('statement_timeout', '3s', false), set_config('TimeZone', 'UTC', false),
        set_config('idle_in_transaction_session_timeout', '3s', false)
"""

UNDONE = (
    psycopg.errors.ForeignKeyViolation,  # a rule was deleted meanwhile
    psycopg.errors.SerializationFailure,  # or changed its limit type
    psycopg.errors.DeadlockDetected,
    psycopg.errors.AdminShutdown,  # the session was terminated before it could commit
)
"""Errors that other sessions cause and after which a statement had no effect: it may be retried."""

TRIES = 3

Result = TypeVar("Result")
Configure = Callable[[AsyncConnection[Any]], Awaitable[None]]


class Unavailable(Exception):
    """The database did not answer, or not in time."""


class TransactionPooler(psycopg.OperationalError):
    """The connection leads through a pooler in transaction mode, where nothing of a session lasts."""


class PromptlyClosed(AsyncConnection[Any]):
    """A connection that leaves no socket behind when it cannot be opened.

    The error of an attempt that timed out or was cancelled refers by its traceback to the attempt's socket. Whoever
    keeps the error, itself included, keeps the socket, often until a garbage collection minutes later: a database that
    was frozen and continues would serve a session to nobody.
    """

    @classmethod
    async def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
        """Open a connection. Raises OperationalError."""
        try:
            return await super().connect(conninfo, **kwargs)
        except (psycopg.OperationalError, asyncio.CancelledError) as error:
            raise error.with_traceback(None) from None


def arguments() -> dict[str, Any]:
    """Return the arguments of every connection."""
    return {"application_name": APPLICATION_NAME, "autocommit": True, "connect_timeout": 2, "tcp_user_timeout": 3000}


async def in_time(call: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of a database call if it comes within TIMEOUT_S. Raises TimeoutError.

    psycopg waits up to 10 s for the database to confirm a cancelled statement, and a frozen database never does.
    When cancelled a second time, psycopg closes the connection instead, so no other request is blocked.
    """
    task = asyncio.create_task(call)
    try:
        done, _ = await asyncio.wait({task}, timeout=TIMEOUT_S)
        if not done:
            raise TimeoutError
        return task.result()
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_S)
        if not task.cancelled():
            task.exception()  # retrieve it even when cancelled, else asyncio logs it as never retrieved


async def configure(connection: AsyncConnection[Any]) -> None:
    """Set the session parameters: the database itself cancels a statement after 3 s.

    It ends a session that pauses so long within a transaction: a stopped process keeps no locks from the others.
    Raises TimeoutError, and TransactionPooler where parameters would reach other clients' statements.
    """
    if await _backend(connection) != connection.info.backend_pid and await _shares_backends(connection):
        raise TransactionPooler(
            "DATABASE_URL leads through a pooler in transaction mode, where LISTEN, locks and prepared statements are "
            "lost; connect to PostgreSQL directly, or let it pool sessions (PgBouncer: pool_mode=session)"
        )
    await in_time(connection.execute(_PARAMETERS))


async def connect(dsn: str, configure: Configure = configure) -> AsyncConnection[Any]:
    """Return a connection outside the pool. Raises OperationalError, TimeoutError."""
    connection = await PromptlyClosed.connect(dsn, **arguments())
    try:
        await configure(connection)
    except BaseException:
        await connection.close()
        raise
    return connection


async def _shares_backends(one: AsyncConnection[Any]) -> bool:
    """Whether the backend of this session also serves another one that is open at the same time.

    Only behind a pooler does a backend have another process id than the announced one. A pooler in session mode that
    has no free session keeps the other one waiting.
    """
    address = make_conninfo(one.info.dsn, password=one.info.password or None)
    async with await PromptlyClosed.connect(address, **arguments()) as other:
        own, others = set[int](), set[int]()
        for _ in range(POOLER_TURNS):
            own |= {await _backend(one), await _backend(one)}
            try:
                others |= {await _backend(other), await _backend(other)}
            except TimeoutError:
                return False
            if len(own) > 1 or own & others:
                return True
    return False


async def _backend(connection: AsyncConnection[Any]) -> int:
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await in_time(cursor.execute("SELECT pg_catalog.pg_backend_pid()", prepare=False))
        return int(await cursor.fetchone() or 0)


def is_alive(connection: AsyncConnection[Any]) -> bool:
    """Whether an idle connection is usable: open, with nothing to read, not even its end."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return not poll.poll(0)


async def check(connection: AsyncConnection[Any]) -> None:
    """Reject a connection that was lost while idle, before it is used. Raises OperationalError."""
    if not is_alive(connection):
        await connection.close()  # psycopg has not noticed the loss, and the pool would reuse the connection
        raise psycopg.OperationalError("the connection was lost while idle")
