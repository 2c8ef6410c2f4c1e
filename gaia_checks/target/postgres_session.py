"""Our own session in the target's database, or the reason why there is none."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from gaia_checks.model import Target
from gaia_checks.target.client import CONNECT_S, READ_S
from gaia_checks.target.unobservable import DATABASE, unseen


class NoSession(Exception):
    """Why we cannot look into the database ourselves. Its text holds no secret."""


APPLICATION_NAME = "gaia_checks"
"""How our own sessions show in pg_stat_activity."""

OPTIONS = f"-c default_transaction_read_only=on -c statement_timeout={int(READ_S * 1000)}"
"""What every session that looks is limited to."""

NO_CONNECTION_STRING = "DATABASE_URL is no connection string; write postgresql://user:password@host:5432/name"
"""Said in place of psycopg's own text, which quotes the connection string, password and all."""


@contextmanager
def session(target: Target) -> Iterator[psycopg.Connection]:
    """Open a read-only session with a limit on every statement. Raises NoSession, also for what fails within."""
    with _connected(target) as connection:
        try:
            yield connection
        except psycopg.Error as error:
            raise NoSession(_unseen(target, _one_line(error))) from error


def _connected(target: Target) -> psycopg.Connection:
    if target.database_url is None:
        raise NoSession(_unseen(target, "the gate was given no DATABASE_URL"))
    try:
        return psycopg.connect(
            target.database_url,
            autocommit=True,
            connect_timeout=int(CONNECT_S),
            application_name=APPLICATION_NAME,
            options=OPTIONS,
        )
    except psycopg.ProgrammingError:  # its text quotes the connection string, password and all
        raise NoSession(_unseen(target, NO_CONNECTION_STRING)) from None
    except psycopg.OperationalError as error:
        raise NoSession(_unseen(target, f"the gate itself cannot connect: {_one_line(error)}")) from error


def _unseen(target: Target, why: str) -> str:
    return unseen(target, "the target's database", DATABASE, why=why)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
