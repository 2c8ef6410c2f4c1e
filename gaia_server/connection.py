"""How this server speaks to PostgreSQL: who it says it is, and whether a connection is still worth using."""

import asyncio
import select
from collections.abc import Coroutine
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection

APPLICATION_NAME = "gaia_server"
TIMEOUT_S = 2.0
"""How long a request waits for the database before it is answered 503."""

CANCEL_S = 0.25
"""How long the database may then take to give up what it was asked: what waits for a lock does, and counts nothing."""

UNDONE = (
    psycopg.errors.ForeignKeyViolation,  # a rule was deleted meanwhile
    psycopg.errors.SerializationFailure,  # or changed its kind
    psycopg.errors.DeadlockDetected,
    psycopg.errors.AdminShutdown,  # said in place of an answer: the session was ended before it could commit
)
"""Errors after which nothing came of a statement, for what others did: it may be tried again."""

TRIES = 3

Answer = TypeVar("Answer")


class Unavailable(Exception):
    """The database did not answer, or not in time."""


def arguments() -> dict[str, Any]:
    """Return the arguments of every connection."""
    return {"application_name": APPLICATION_NAME, "autocommit": True, "connect_timeout": 2, "tcp_user_timeout": 3000}


async def in_time(asking: Coroutine[Any, Any, Answer]) -> Answer:
    """Return what the database answers within TIMEOUT_S. Raises TimeoutError.

    A cancelled statement waits up to 10 s for the database to give it up, and one that is frozen never does.
    Cancelled once more, psycopg closes the connection instead, so nobody else is held up and nothing is left behind.
    """
    task = asyncio.create_task(asking)
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
            task.exception()  # seen, also if we are cancelled: else asyncio would log it as lost


async def configure(connection: AsyncConnection[Any]) -> None:
    """Set what no connection string can: after this the database itself gives up a statement. Raises TimeoutError."""
    await in_time(
        connection.execute("SELECT set_config('statement_timeout', '3s', false), set_config('TimeZone', 'UTC', false)")
    )


def is_alive(connection: AsyncConnection[Any]) -> bool:
    """Whether an idle connection is still worth using: nobody has anything to say on it, not even goodbye."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return not poll.poll(0)


async def check(connection: AsyncConnection[Any]) -> None:
    """Refuse a connection that was lost while it was idle, before anything is said on it. Raises OperationalError."""
    if not is_alive(connection):
        await connection.close()  # it has not noticed itself, and the pool would hand it out again
        raise psycopg.OperationalError("the connection was lost while idle")
