"""Applies a file of one CREATE or DROP INDEX CONCURRENTLY, outside a transaction, so that a kill is found.

A note in `public.schema_migrations_unfinished`, which exists only meanwhile, names the index from before its build
until it is valid and recorded, or from the record of its removal until it is gone. So an index with a note must not
remain: `settle` drops it, invalid or complete. A build then starts again, a removal is complete.
"""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from gaia_checks.deploy.migrations import file_transaction
from gaia_checks.deploy.migrations.file_transaction import Record
from gaia_checks.deploy.migrations.index_statement import IndexStatement
from gaia_checks.deploy.postgres import database_connection
from gaia_checks.errors import MigrationError

WAIT = "60s"  # for older transactions and for a killed runner's build; meanwhile the table stays readable and writable

_BUILT = """
    SELECT format('%%I.%%I', n.nspname, (parse_ident(%s))[1]::name) FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(%s)
"""
_DROPPED = """
    SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE i.indexrelid = to_regclass(%s)
"""
_VALID = "SELECT indisvalid AND indisready FROM pg_index WHERE indexrelid = to_regclass(%s)"
_NOTE = "CREATE TABLE IF NOT EXISTS public.schema_migrations_unfinished (index_name text NOT NULL)"


@dataclass(frozen=True, slots=True)
class IndexFile:
    """A file, how `schema_migrations` records it, and how that record is taken back."""

    name: str
    body: bytes
    statement: IndexStatement
    record: Record
    take_back: Record


def run(dsn: str, file: IndexFile) -> None:
    """Apply the file and record it. Raises MigrationError; then neither is done, or a note says what is left."""
    with file_transaction.session(dsn) as connection:
        _wait_patiently(connection)
        (_build if file.statement.table else _remove)(connection, file)


def settle(dsn: str) -> None:
    """Drop each index that a killed runner left with a note. Raises MigrationError where that is impossible."""
    for index in unfinished(dsn):
        with file_transaction.session(dsn) as connection:
            _wait_patiently(connection)
            try:
                _drop(connection, index)
                _forget(connection)
            except psycopg.Error as error:
                raise MigrationError(
                    f"{index}: left by an interrupted migration, cannot be dropped: "
                    f"{database_connection.message(error)}; end long transactions, then run again"
                ) from error


def unfinished(dsn: str) -> tuple[str, ...]:
    """Return the indexes with a note: at most one, because one runner works at a time."""
    with database_connection.connect(dsn) as connection:
        if _value(connection, "SELECT to_regclass('public.schema_migrations_unfinished')") is None:
            return ()
        return tuple(
            name for (name,) in connection.execute("SELECT index_name FROM public.schema_migrations_unfinished")
        )


def _build(connection: psycopg.Connection, file: IndexFile) -> None:
    """Build the index, verify it, then record the file. An invalid index of the same name is dropped before."""
    index = _value(connection, _BUILT, file.statement.name, file.statement.table)
    present = _value(connection, _VALID, index)
    if present is False:
        with _failing(file):
            _drop(connection, str(index))
    noted = index is not None and not present  # about a valid index of the same name PostgreSQL itself decides
    if noted:
        with connection.transaction():
            _note(connection, str(index))
    try:
        with _failing(file):
            connection.execute(file.body)
        if _value(connection, _VALID, index) is not True:
            raise MigrationError(f"{file.name}: there is no valid index {index} afterwards; look at it, then run again")
    except MigrationError:
        if noted:
            _clean_up(connection, str(index))
        raise
    with connection.transaction():
        file.record(connection)
        _forget(connection)


def _remove(connection: psycopg.Connection, file: IndexFile) -> None:
    """Record the file, then drop the index: what a kill in between leaves, `settle` can do without the file."""
    index = _value(connection, _DROPPED, file.statement.name)
    with connection.transaction():
        file.record(connection)
        if index is not None:
            _note(connection, str(index))
    try:
        with _failing(file):
            connection.execute(file.body)
    except MigrationError:
        if index is None or _value(connection, _VALID, index):
            with connection.transaction():
                file.take_back(connection)
                _forget(connection)
        raise
    _forget(connection)


@contextmanager
def _failing(file: IndexFile) -> Iterator[None]:
    try:
        with file_transaction.errors_of(file.name, file.body):
            yield
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise MigrationError(f"{file.name}: older transactions lasted more than {WAIT}; end them, run again") from error


def _clean_up(connection: psycopg.Connection, index: str) -> None:
    """Drop what a failed build left; where that fails, too, the note lets the next run do it."""
    with contextlib.suppress(psycopg.Error):
        _drop(connection, index)
        _forget(connection)


def _drop(connection: psycopg.Connection, index: str) -> None:
    if _value(connection, _VALID, index) is not None:
        connection.execute(f"DROP INDEX CONCURRENTLY {index}".encode())  # quoted by format('%I.%I')


def _note(connection: psycopg.Connection, index: str) -> None:
    connection.execute(_NOTE)
    connection.execute("INSERT INTO public.schema_migrations_unfinished VALUES (%s)", (index,))


def _forget(connection: psycopg.Connection) -> None:
    connection.execute("DROP TABLE IF EXISTS public.schema_migrations_unfinished")


def _wait_patiently(connection: psycopg.Connection) -> None:
    connection.execute(f"SET lock_timeout = '{WAIT}'".encode())


def _value(connection: psycopg.Connection, query: str, *parameters: object) -> object:
    row = connection.execute(query.encode(), parameters or None).fetchone()
    return row[0] if row else None
