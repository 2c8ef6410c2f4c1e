"""Applies one SQL file atomically: in a session of its own, in one transaction, with the record of it.

The session ends with the file, so nothing that the file sets (roles, settings, temporary tables, locks) reaches the
next one. The transaction is identified before and after the file: no lexer decides whether it is still the same.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg.pq import TransactionStatus

from gaia_checks.deploy.postgres import database_connection
from gaia_checks.errors import MigrationError

LOCK_TIMEOUT = "3s"  # for a table lock: a waiting one blocks all of the server's queries
ATTEMPTS = 5

_DETECTS_LOST_CLIENTS = 140_000  # older servers finish a killed runner's statement before they roll it back
_TRANSIENT = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)

Record = Callable[[psycopg.Connection], None]
"""Records the file in `schema_migrations`, in the transaction of the file."""


def run(dsn: str, name: str, body: bytes, record: Record) -> None:
    """Apply the file `name` and record it; retry after a table lock timeout or deadlock. Raises MigrationError."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _once(dsn, name, body, record)
        except _TRANSIENT as error:
            if attempt == ATTEMPTS:
                raise MigrationError(
                    f"{name}: no lock within {ATTEMPTS} attempts of {LOCK_TIMEOUT}; end long transactions, run again"
                ) from error
            time.sleep(0.2 * 2**attempt)
        else:
            return


@contextmanager
def session(dsn: str) -> Iterator[psycopg.Connection]:
    """Yield a session for one file, which reads it as UTF-8 with standard strings whatever the account's defaults."""
    with database_connection.connect(dsn) as connection:
        connection.execute("SET client_encoding = 'UTF8'")
        connection.execute("SET standard_conforming_strings = on")
        connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'".encode())
        if connection.info.server_version >= _DETECTS_LOST_CLIENTS:
            connection.execute("SET client_connection_check_interval = '1s'")
        yield connection


@contextmanager
def errors_of(name: str, body: bytes) -> Iterator[None]:
    """Turn the errors of the file's own statements into MigrationError, except those that a retry may resolve."""
    try:
        yield
    except _TRANSIENT:
        raise
    except psycopg.Error as error:
        position = int(error.diag.statement_position or 0)  # only syntax errors have one
        line = f":{body.decode()[: position - 1].count(chr(10)) + 1}" if position else ""
        message = error.diag.message_primary or str(error).split("\n", 1)[0]
        if isinstance(error, psycopg.errors.ActiveSqlTransaction):
            message += "; move it to a file of its own with the line `-- gaia: no-transaction`"
        raise MigrationError(f"{name}{line}: {message}; nothing of this file was applied") from error


def _once(dsn: str, name: str, body: bytes, record: Record) -> None:
    with session(dsn) as connection:
        connection.execute("BEGIN")
        started = _value(connection, "SELECT pg_catalog.txid_current()")
        try:
            with errors_of(name, body):
                connection.execute(body)
        except (MigrationError, *_TRANSIENT) as error:
            if _committed(connection, started):
                raise _left(name) from error
            raise
        if _value(connection, "SELECT pg_catalog.txid_current()") != started:
            raise _left(name)
        connection.execute("SET SESSION AUTHORIZATION DEFAULT")  # after a SET ROLE in the file
        record(connection)
        with errors_of(name, body):  # deferred constraints are checked here
            connection.execute("COMMIT")


def _committed(connection: psycopg.Connection, transaction: object) -> bool:
    """Whether a file that failed has committed the transaction it started in."""
    if connection.info.transaction_status not in (TransactionStatus.INERROR, TransactionStatus.IDLE):
        return False  # the connection is lost, and the transaction with it
    connection.rollback()
    return _value(connection, "SELECT pg_catalog.txid_status(%s)", transaction) == "committed"


def _left(name: str) -> MigrationError:
    return MigrationError(
        f"{name}: ends the transaction it is applied in (COMMIT or ROLLBACK); remove that: the runner applies each "
        "file in one transaction, and what precedes it may be applied"
    )


def _value(connection: psycopg.Connection, query: str, *parameters: object) -> object:
    row = connection.execute(query.encode(), parameters or None).fetchone()
    return row[0] if row else None
