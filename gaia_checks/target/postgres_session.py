"""The gate's own session in the target's database, or the reason for none."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict

from gaia_checks.model import Target
from gaia_checks.target.client import CONNECT_S, READ_S
from gaia_checks.target.unobservable import DATABASE, cannot_observe


class NoSession(Exception):
    """Why the gate cannot open a database session. Its text contains no secret."""


APPLICATION_NAME = "gaia_checks"
"""The gate's own sessions in pg_stat_activity."""

OPTIONS = f"-c default_transaction_read_only=on -c statement_timeout={int(READ_S * 1000)}"
"""The limits of every session of the gate."""


def options(url: str) -> str:
    """Return the options of a session: those in the connection string, and the limits. Raises ProgrammingError."""
    return f"{conninfo_to_dict(url).get('options') or ''} {OPTIONS}".lstrip()


NO_CONNECTION_STRING = "DATABASE_URL is no connection string; write postgresql://user:password@host:5432/name"
"""Replaces psycopg's own text, which quotes the connection string with the password."""


@contextmanager
def session(target: Target) -> Iterator[psycopg.Connection]:
    """Open a read-only session with a time limit on every statement. Raises NoSession, also for errors within."""
    with _connected(target) as connection:
        try:
            yield connection
        except psycopg.Error as error:
            raise NoSession(_unobservable(target, _one_line(error))) from error


def _connected(target: Target) -> psycopg.Connection:
    if target.database_url is None:
        raise NoSession(_unobservable(target, "the gate was given no DATABASE_URL"))
    try:
        return psycopg.connect(
            target.database_url,
            autocommit=True,
            connect_timeout=int(CONNECT_S),
            application_name=APPLICATION_NAME,
            options=options(target.database_url),
        )
    except psycopg.ProgrammingError:  # its text quotes the connection string with the password
        raise NoSession(_unobservable(target, NO_CONNECTION_STRING)) from None
    except psycopg.OperationalError as error:
        raise NoSession(_unobservable(target, f"the gate itself cannot connect: {_one_line(error)}")) from error


def _unobservable(target: Target, why: str) -> str:
    return cannot_observe(target, "the target's database", DATABASE, why=why)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
