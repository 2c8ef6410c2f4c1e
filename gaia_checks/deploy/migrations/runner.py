"""Bring a database's schema to a release's: plain SQL files, in an explicit order, each applied all or not at all.

`schema_migrations` holds one row per applied file, written in the same transaction as the file's effects.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from gaia_checks.deploy.migrations.migration_files import Migration, read
from gaia_checks.deploy.postgres import database_connection
from gaia_checks.deploy.state.lock import who
from gaia_checks.errors import MigrationError

LOCK_KEY = 7_236_150_250_411
"""The advisory lock that makes runners take turns."""

TURN_TIMEOUT_S = 60.0
LOCK_TIMEOUT = "3s"  # for a table lock: behind one that waits, all of the server's queries would queue
ATTEMPTS = 5

_NOTICES_LOST_CLIENTS = 140_000  # older servers finish the statement of a killed runner before they undo it

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
_PASSING = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)

Say = Callable[[str], None]


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
    say: Say = lambda _: None,
) -> tuple[str, ...]:
    """Apply what is not applied yet, of the first `limit` in their order; return the versions applied now.

    Versions among `ahead` may be applied although `folder` does not know them: a later release brought them.
    Raises MigrationError; what was applied before the one that failed stays, of the failed one nothing does.
    """
    migrations = read(folder)[:limit]
    with _turn(dsn) as connection:
        pending = _pending(migrations, _applied(connection), ahead)
        for migration in pending:
            say(f"applying {migration.version}")
            _patiently(connection, migration.version, lambda m=migration: _apply(connection, m, git_sha))  # type: ignore[misc]
    return tuple(migration.version for migration in pending)


def down(
    dsn: str, folder: Path, *, count: int = 1, ahead: frozenset[str] = frozenset(), say: Say = lambda _: None
) -> tuple[str, ...]:
    """Undo the last `count` applied migrations, newest first; return their versions. Raises MigrationError."""
    migrations = read(folder)
    with _turn(dsn) as connection:
        applied = _applied(connection)
        _pending(migrations, applied, ahead)  # refuses a schema that is not ours
        done = {row.version for row in applied}
        undone = [migration for migration in reversed(migrations) if migration.version in done][:count]
        for migration in undone:
            say(f"undoing {migration.version}")
            _patiently(connection, f"rollback/{migration.version}", lambda m=migration: _undo(connection, m))  # type: ignore[misc]
    return tuple(migration.version for migration in undone)


def status(dsn: str, folder: Path, *, ahead: frozenset[str] = frozenset()) -> tuple[tuple[str, bool], ...]:
    """Return (version, applied) for every migration in its order. Raises MigrationError as `verify` does."""
    migrations = read(folder)
    with _connection(dsn) as connection:
        pending = _pending(migrations, _applied(connection), ahead)
    return tuple((migration.version, migration not in pending) for migration in migrations)


def verify(dsn: str, folder: Path, *, ahead: frozenset[str] = frozenset()) -> None:
    """Return when exactly the migrations of `folder` are applied, unchanged, and at most those of `ahead` beside them.

    Raises MigrationError otherwise.
    """
    missing = [version for version, applied in status(dsn, folder, ahead=ahead) if not applied]
    if missing:
        raise MigrationError(f"not applied: {', '.join(missing)}; run: gaia migrate ENV up")


def applied(dsn: str) -> tuple[str, ...]:
    """Return the versions that are applied, oldest first."""
    with _connection(dsn) as connection:
        return tuple(row.version for row in _applied(connection))


def ahead_of(dsn: str | None, folder: Path) -> tuple[str, ...]:
    """Return the versions that are applied although `folder` does not know them; none where there is no database."""
    known = {migration.version for migration in read(folder)}
    return tuple(version for version in (applied(dsn) if dsn else ()) if version not in known)


def _pending(
    migrations: Sequence[Migration], applied: Sequence[Applied], ahead: frozenset[str] = frozenset()
) -> list[Migration]:
    """Return what is not applied, in order (pure). Raises MigrationError when rows and files contradict each other."""
    known = {migration.version: migration for migration in migrations}
    for row in applied:
        if row.version not in known and row.version in ahead:
            continue
        if row.version not in known:
            raise MigrationError(
                f"{row.version} is applied, but this release does not know it; deploy a release that has it"
            )
        migration = known[row.version]
        if row.checksum != migration.checksum:
            raise MigrationError(f"{row.version}.sql was edited after it was applied; restore it and write a new one")
        if row.rollback_checksum != migration.rollback_checksum:
            raise MigrationError(f"rollback/{row.version}.sql was edited after {row.version} was applied; restore it")
    done = {row.version for row in applied}
    pending = [migration for migration in migrations if migration.version not in done]
    behind = migrations[migrations.index(pending[0]) :] if pending else ()
    late = next((migration.version for migration in behind if migration.version in done), None)
    if late:
        raise MigrationError(
            f"{pending[0].version} stands before {late}, which is applied; move it behind in order.txt"
        )
    return pending


@contextmanager
def _connection(dsn: str) -> Iterator[psycopg.Connection]:
    """Give a connection. What the server refuses beside a migration's own statements is a MigrationError."""
    try:
        with database_connection.connect(dsn) as connection:
            yield connection
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(
            f"public.schema_migrations: {database_connection.why(error)}; let the account of DATABASE_URL own it and "
            "create tables (GRANT CREATE ON SCHEMA public TO ...)"
        ) from error
    except psycopg.Error as error:
        raise MigrationError(
            f"public.schema_migrations: {database_connection.why(error)}; check that the database runs, then run again"
        ) from error


@contextmanager
def _turn(dsn: str) -> Iterator[psycopg.Connection]:
    """Give a connection that holds the runners' lock. The lock goes with the session, also when we are killed."""
    with _connection(dsn) as connection:
        deadline = time.monotonic() + TURN_TIMEOUT_S
        while not _one(connection, "SELECT pg_try_advisory_lock(%s)", LOCK_KEY):
            if time.monotonic() > deadline:
                raise MigrationError(f"another runner has migrated for {TURN_TIMEOUT_S:.0f} s; wait, then run again")
            time.sleep(0.1)
        with connection.transaction():
            _check_layout(connection)
            connection.execute(CREATE_TABLE)
        yield connection


def _check_layout(connection: psycopg.Connection) -> bool:
    """Whether `schema_migrations` is there. Raises MigrationError when somebody else's tool made it."""
    found: dict[str, str] = dict(
        connection.execute(
            "SELECT column_name::text, data_type::text FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = 'schema_migrations'"
        ).fetchall()
    )
    if found and found != _LAYOUT:
        raise MigrationError(
            f"public.schema_migrations is another tool's (columns {', '.join(sorted(found))}); use an empty database"
        )
    return bool(found)


def _applied(connection: psycopg.Connection) -> list[Applied]:
    if not _check_layout(connection):
        return []
    rows = connection.execute(
        "SELECT version, checksum, rollback_checksum FROM public.schema_migrations ORDER BY applied_at, version"
    )
    return [Applied(*row) for row in rows]


def _apply(connection: psycopg.Connection, migration: Migration, git_sha: str | None) -> None:
    started = time.monotonic()
    _execute(connection, f"{migration.version}.sql", migration.body)
    duration_ms = round((time.monotonic() - started) * 1000)
    connection.execute(
        "INSERT INTO public.schema_migrations"
        " (version, checksum, rollback_checksum, applied_at, applied_by, duration_ms, git_sha)"
        " VALUES (%s, %s, %s, clock_timestamp(), %s, %s, %s)",
        (migration.version, migration.checksum, migration.rollback_checksum, who(), duration_ms, git_sha),
    )


def _undo(connection: psycopg.Connection, migration: Migration) -> None:
    if migration.rollback is None:
        raise MigrationError(
            f"{migration.version} has no rollback/{migration.version}.sql; restore from a dump instead"
        )
    _execute(connection, f"rollback/{migration.version}.sql", migration.rollback)
    connection.execute("DELETE FROM public.schema_migrations WHERE version = %s", (migration.version,))


def _patiently(connection: psycopg.Connection, name: str, step: Callable[[], None]) -> None:
    """Run `step` in a transaction; where a table lock was not to be had, give way and try again."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                if connection.info.server_version >= _NOTICES_LOST_CLIENTS:
                    connection.execute("SET LOCAL client_connection_check_interval = '1s'")
                step()
        except _PASSING as error:
            if attempt == ATTEMPTS:
                raise MigrationError(
                    f"{name}: no lock within {ATTEMPTS} attempts of {LOCK_TIMEOUT}; end long transactions, run again"
                ) from error
            time.sleep(0.2 * 2**attempt)
        else:
            connection.execute("RESET ALL")  # a SET of the file would go on to the next one
            return


def _execute(connection: psycopg.Connection, name: str, body: bytes) -> None:
    try:
        connection.execute(body)
    except _PASSING:
        raise
    except psycopg.Error as error:
        at = int(error.diag.statement_position or 0)
        line = f":{body.decode()[: at - 1].count(chr(10)) + 1}" if at else ""  # only a syntax error has a place
        said = error.diag.message_primary or str(error).split("\n", 1)[0]
        raise MigrationError(f"{name}{line}: {said}; nothing of this file was applied") from error


def _one(connection: psycopg.Connection, query: str, *parameters: object) -> object:
    row = connection.execute(query.encode(), parameters).fetchone()
    return row[0] if row else None
