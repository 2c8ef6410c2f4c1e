"""Migrates a database to a release's schema: SQL files in an explicit order, each applied atomically.

`schema_migrations` has one row per applied file, written in the same transaction as the file's effects, or beside an
index that is built or dropped concurrently (`concurrent_index`).
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from gaia_checks.deploy.migrations import concurrent_index, file_transaction
from gaia_checks.deploy.migrations.concurrent_index import IndexFile
from gaia_checks.deploy.migrations.file_transaction import Record
from gaia_checks.deploy.migrations.migration_files import Migration, outside_transaction, read
from gaia_checks.deploy.postgres import database_connection
from gaia_checks.deploy.state.lock import who
from gaia_checks.errors import MigrationError
from gaia_checks.model import Log

LOCK_KEY = 7_236_150_250_411
"""The advisory lock that serialises migration runners."""

RUNNER_LOCK_TIMEOUT_S = 60.0

_ENDS_IDLE_SESSIONS = 140_000

_LAYOUT = {
    "version": "text",
    "checksum": "text",
    "rollback_checksum": "text",
    "applied_at": "timestamp with time zone",
    "applied_by": "text",
    "duration_ms": "integer",
    "git_sha": "text",
}
CREATE_TABLE = """
    CREATE TABLE IF NOT EXISTS public.schema_migrations (
        version text PRIMARY KEY,
        checksum text NOT NULL,
        rollback_checksum text,
        applied_at timestamptz NOT NULL DEFAULT now(),
        applied_by text NOT NULL,
        duration_ms integer NOT NULL,
        git_sha text
    );
"""
_LOCK_OWNER = """
    SELECT pid, coalesce(nullif(application_name, ''), 'unknown'), date_trunc('seconds', backend_start)::text
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND (classid::bigint << 32) + objid::bigint = %s AND objsubid = 1 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_INSERT = """
    INSERT INTO public.schema_migrations
    (version, checksum, rollback_checksum, applied_at, applied_by, duration_ms, git_sha)
    VALUES (%s, %s, %s, coalesce(%s, clock_timestamp()), %s, %s, %s)
"""
_DELETE = """
    DELETE FROM public.schema_migrations WHERE version = %s
    RETURNING version, checksum, rollback_checksum, applied_at, applied_by, duration_ms, git_sha
"""


@dataclass(frozen=True, slots=True)
class Applied:
    """One row of `schema_migrations`."""

    version: str
    checksum: str
    rollback_checksum: str | None


def up(
    dsn: str,
    folder: Path,
    *,
    git_sha: str | None = None,
    ahead: frozenset[str] = frozenset(),
    limit: int | None = None,
    log: Log = lambda _: None,
) -> tuple[str, ...]:
    """Apply the pending migrations among the first `limit`; return their versions.

    Versions in `ahead` may be applied although missing from `folder`: a later release applied them.
    Raises MigrationError; earlier migrations stay applied, the failed one leaves nothing.
    """
    migrations = read(folder)[:limit]
    with _runner_lock(dsn, log) as connection:
        pending = _pending(migrations, _applied(connection), ahead)
        for migration in pending:
            log(f"applying {migration.version}")
            _apply(dsn, migration, git_sha)
    return tuple(migration.version for migration in pending)


def down(
    dsn: str, folder: Path, *, count: int = 1, ahead: frozenset[str] = frozenset(), log: Log = lambda _: None
) -> tuple[str, ...]:
    """Revert the last `count` applied migrations, newest first; return their versions. Raises MigrationError."""
    migrations = read(folder)
    with _runner_lock(dsn, log) as connection:
        applied = _applied(connection)
        _pending(migrations, applied, ahead)  # refuses a schema that differs from the files
        done = {row.version for row in applied}
        reverted = [migration for migration in reversed(migrations) if migration.version in done][:count]
        for migration in reverted:
            log(f"undoing {migration.version}")
            _revert(dsn, migration)
    return tuple(migration.version for migration in reverted)


def status(dsn: str, folder: Path, *, ahead: frozenset[str] = frozenset()) -> tuple[tuple[str, bool], ...]:
    """Return (version, applied) for every migration in order. Raises MigrationError as `verify` does."""
    migrations = read(folder)
    with _connection(dsn) as connection:
        pending = _pending(migrations, _applied(connection), ahead)
    return tuple((migration.version, migration not in pending) for migration in migrations)


def settle(dsn: str) -> None:
    """Drop what a killed runner left of an index. Raises MigrationError."""
    with _connection(dsn):
        left = concurrent_index.unfinished(dsn)
    if left:
        with _runner_lock(dsn, lambda _: None):
            pass  # whoever gets the lock settles


def verify(dsn: str, folder: Path, *, ahead: frozenset[str] = frozenset()) -> None:
    """Raise MigrationError unless exactly the migrations of `folder`, and any of `ahead`, are applied unchanged."""
    missing = [version for version, applied in status(dsn, folder, ahead=ahead) if not applied]
    if missing:
        raise MigrationError(f"not applied: {', '.join(missing)}; run: gaia migrate ENV up")
    with _connection(dsn):
        left = concurrent_index.unfinished(dsn)
    if left:
        raise MigrationError(f"{left[0]}: an interrupted migration left this index; run: gaia migrate ENV up")


def applied(dsn: str) -> tuple[str, ...]:
    """Return the applied versions, oldest first."""
    with _connection(dsn) as connection:
        return tuple(row.version for row in _applied(connection))


def ahead_of(dsn: str | None, folder: Path) -> tuple[str, ...]:
    """Return the applied versions that `folder` lacks; none without a database."""
    contained = {migration.version for migration in read(folder)}
    return tuple(version for version in (applied(dsn) if dsn else ()) if version not in contained)


def _pending(
    migrations: Sequence[Migration], applied: Sequence[Applied], ahead: frozenset[str] = frozenset()
) -> list[Migration]:
    """Return the pending migrations in order (pure). Raises MigrationError when rows and files disagree."""
    by_version = {migration.version: migration for migration in migrations}
    for row in applied:
        if row.version not in by_version and row.version in ahead:
            continue
        if row.version not in by_version:
            raise MigrationError(
                f"{row.version} is applied, but missing from this release; deploy a release that has it"
            )
        migration = by_version[row.version]
        if row.checksum != migration.checksum:
            raise MigrationError(f"{row.version}.sql was edited after it was applied; restore it and write a new one")
        if row.rollback_checksum != migration.rollback_checksum:
            raise MigrationError(f"rollback/{row.version}.sql was edited after {row.version} was applied; restore it")
    done = {row.version for row in applied}
    pending = [migration for migration in migrations if migration.version not in done]
    following = migrations[migrations.index(pending[0]) :] if pending else ()
    applied_later = next((migration.version for migration in following if migration.version in done), None)
    if applied_later:
        raise MigrationError(
            f"{pending[0].version} is listed before {applied_later}, which is already applied; "
            f"move {pending[0].version} after {applied_later} in order.txt"
        )
    return pending


@contextmanager
def _connection(dsn: str) -> Iterator[psycopg.Connection]:
    """Yield a connection. Raises MigrationError for database errors outside a migration's own statements."""
    try:
        with database_connection.connect(dsn) as connection:
            yield connection
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(
            f"public.schema_migrations: {database_connection.message(error)}; "
            "let the account of DATABASE_URL own it and create tables (GRANT CREATE ON SCHEMA public TO ...)"
        ) from error
    except psycopg.Error as error:
        raise MigrationError(
            f"public.schema_migrations: {database_connection.message(error)}; check that PostgreSQL runs and retry"
        ) from error


@contextmanager
def _runner_lock(dsn: str, log: Log) -> Iterator[psycopg.Connection]:
    """Yield a connection with the runner lock. The lock ends with the session, also after a kill."""
    with _connection(dsn) as connection:
        if connection.info.server_version >= _ENDS_IDLE_SESSIONS:
            connection.execute("SET idle_session_timeout = 0")  # each file runs in a session of its own
        _acquire(connection, log)
        try:
            with connection.transaction():
                _check_layout(connection)
                connection.execute(CREATE_TABLE)
            concurrent_index.settle(dsn)
            yield connection
        finally:
            with suppress(psycopg.Error):  # a pooler keeps the session, a lost one has no lock
                connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK_KEY,))


def _acquire(connection: psycopg.Connection, log: Log) -> None:
    """Wait for the runner lock, and say who owns it. Raises MigrationError after RUNNER_LOCK_TIMEOUT_S."""
    deadline, owner = time.monotonic() + RUNNER_LOCK_TIMEOUT_S, ""
    while not _value(connection, "SELECT pg_try_advisory_lock(%s)", LOCK_KEY):
        row = connection.execute(_LOCK_OWNER, (LOCK_KEY,)).fetchone()
        if row and not owner:
            owner = f"session {row[0]} of {row[1]}, connected since {row[2] or 'an unknown time'}"
            log(f"waiting for the migration lock of {owner}")
        if time.monotonic() > deadline:
            raise MigrationError(
                f"the migration lock belongs to {owner or 'another session'}, for more than "
                f"{RUNNER_LOCK_TIMEOUT_S:.0f} s; wait for its migration, or if its command was killed, "
                f"run SELECT pg_terminate_backend({row[0] if row else 'pid'})"
            )
        time.sleep(0.1)


def _check_layout(connection: psycopg.Connection) -> bool:
    """Whether `schema_migrations` exists. Raises MigrationError when another tool created it."""
    found: dict[str, str] = dict(
        connection.execute(
            "SELECT column_name::text, data_type::text FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = 'schema_migrations'"
        ).fetchall()
    )
    if found and found != _LAYOUT:
        columns = ", ".join(sorted(found))
        raise MigrationError(
            f"public.schema_migrations belongs to another tool (columns {columns}); use an empty database"
        )
    return bool(found)


def _applied(connection: psycopg.Connection) -> list[Applied]:
    if not _check_layout(connection):
        return []
    rows = connection.execute(
        "SELECT version, checksum, rollback_checksum FROM public.schema_migrations ORDER BY applied_at, version"
    )
    return [Applied(*row) for row in rows]


def _apply(dsn: str, migration: Migration, git_sha: str | None) -> None:
    started = time.monotonic()

    def record(connection: psycopg.Connection) -> None:
        duration_ms = round((time.monotonic() - started) * 1000)
        checksums = (migration.checksum, migration.rollback_checksum)
        connection.execute(_INSERT, (migration.version, *checksums, None, who(), duration_ms, git_sha))

    def take_back(connection: psycopg.Connection) -> None:
        connection.execute(_DELETE, (migration.version,))

    _run(dsn, f"{migration.version}.sql", migration.body, record, take_back)


def _revert(dsn: str, migration: Migration) -> None:
    if migration.rollback is None:
        raise MigrationError(
            f"{migration.version} has no rollback/{migration.version}.sql; restore from a dump instead"
        )
    deleted: list[tuple[object, ...]] = []

    def record(connection: psycopg.Connection) -> None:
        deleted[:] = connection.execute(_DELETE, (migration.version,)).fetchall()

    def take_back(connection: psycopg.Connection) -> None:
        connection.execute(_INSERT, deleted[0])

    _run(dsn, f"rollback/{migration.version}.sql", migration.rollback, record, take_back)


def _run(dsn: str, name: str, body: bytes, record: Record, take_back: Record) -> None:
    statement = outside_transaction(body)
    if statement:
        concurrent_index.run(dsn, IndexFile(name, body, statement, record, take_back))
    else:
        file_transaction.run(dsn, name, body, record)


def _value(connection: psycopg.Connection, query: str, *parameters: object) -> object:
    row = connection.execute(query.encode(), parameters).fetchone()
    return row[0] if row else None
