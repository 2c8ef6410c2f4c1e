"""How this server speaks to PostgreSQL: who it says it is, and whether a connection is still worth using."""

import select
from typing import Any

import psycopg
from psycopg import AsyncConnection

APPLICATION_NAME = "gaia_server"
TIMEOUT_S = 2.0
"""How long a request waits for the database before it is answered 503."""


UNDONE = (
    psycopg.errors.ForeignKeyViolation,  # a rule was deleted meanwhile
    psycopg.errors.SerializationFailure,  # or changed its kind
    psycopg.errors.DeadlockDetected,
    psycopg.errors.AdminShutdown,  # said in place of an answer: the session was ended before it could commit
)
"""Errors after which nothing came of a statement, for what others did: it may be tried again."""

TRIES = 3


class Unavailable(Exception):
    """The database did not answer, or not in time."""


def arguments() -> dict[str, Any]:
    """Return the arguments of every connection."""
    return {"application_name": APPLICATION_NAME, "autocommit": True, "connect_timeout": 2, "tcp_user_timeout": 3000}


async def configure(connection: AsyncConnection[Any]) -> None:
    """Set what no connection string can: after this the database itself gives up a statement."""
    await connection.execute(
        "SELECT set_config('statement_timeout', '3s', false), set_config('TimeZone', 'UTC', false)"
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
