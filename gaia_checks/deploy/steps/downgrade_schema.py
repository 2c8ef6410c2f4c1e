"""Taking the schema back to an older release: by rollback files where every version has one, else from the dump.

What would be lost is told first: rows of tables that go, values of columns that go, or rows written since the dump.
Tables that our migrations did not make are never touched.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from gaia_checks import jsonl
from gaia_checks.deploy.migrations import migration_files, restore, runner
from gaia_checks.deploy.postgres import database_connection, dsn, scratch
from gaia_checks.deploy.postgres import dump as postgres_dump
from gaia_checks.deploy.release import release_folder
from gaia_checks.deploy.state import ledger, paths
from gaia_checks.environment import Environment
from gaia_checks.errors import MigrationError


@dataclass(frozen=True, slots=True)
class Plan:
    """How the schema goes back."""

    versions: tuple[str, ...]  # to be undone, newest first; empty: nothing is ahead
    knows: Path  # a release that has all their files
    dump: Path | None  # to restore the owned tables from; None: rollback files undo each version
    losses: tuple[str, ...]  # one text per table or column


def plan(environment: Environment, release: Path) -> Plan:
    """Return how to take the schema back to `release`. Changes nothing. Raises MigrationError when there is no way."""
    address = dsn.environment_database(environment)
    applied, wanted = runner.applied(address), release_folder.describe(release).migrations
    versions = tuple(version for version in reversed(applied) if version not in wanted)
    if not versions:
        return Plan((), release, None, ())
    knows = _that_knows(environment, applied)
    lacking = [m.version for m in migration_files.read(knows / "migrations") if m.rollback is None]
    if not set(versions) & set(lacking):
        return Plan(versions, knows, None, _lost_by_files(environment, address, knows, versions))
    kept = _dump_before(environment, versions[-1], lacking[-1])
    return Plan(versions, knows, kept, _lost_by_restoring(address, kept))


def run(environment: Environment, release: Path, found: Plan, say: Callable[[str], None]) -> None:
    """Take the schema back. Raises MigrationError or DeployError; the schema is then one that some release had."""
    address = dsn.environment_database(environment)
    if not found.versions:
        return
    if found.dump is None:
        ahead = ledger.migrated(environment)
        runner.down(address, found.knows / "migrations", count=len(found.versions), ahead=ahead, say=say)
        return
    say(f"restoring our tables from {found.dump.name}")
    with scratch.scratch(environment) as trial:
        runner.up(trial, found.knows / "migrations")
        objects = restore.objects(trial)
    restore.restore(address, objects, release / "migrations", found.dump)


def _that_knows(environment: Environment, applied: Sequence[str]) -> Path:
    """Return a release whose folder has the files of every applied version."""
    for folder in sorted(paths.of(environment).releases.glob("*/release.json")):
        if set(applied) <= set(release_folder.describe(folder.parent).migrations):
            return folder.parent
    raise MigrationError(
        f"no release here has the files of {applied[-1]}; deploy the one that brought it, then go back"
    )


def _dump_before(environment: Environment, version: str, lacking: str) -> Path:
    """Return the dump that was made before `version` was applied."""
    here = paths.of(environment)
    found = postgres_dump.path(here, ledger.migrated_by(environment, version) or "none")
    if not found.exists():
        raise MigrationError(f"{lacking} has no rollback/{lacking}.sql and there is no dump from before it; write one")
    return found


def _lost_by_files(environment: Environment, address: str, knows: Path, versions: Sequence[str]) -> tuple[str, ...]:
    """Tell what the rollback files take away, seen in a scratch database, counted in the real one."""
    with scratch.scratch(environment) as trial:
        runner.up(trial, knows / "migrations")
        before = scratch.columns(trial)
        runner.down(trial, knows / "migrations", count=len(versions))
        gone = before - scratch.columns(trial)
        left = set(scratch.tables(trial))
    whole = sorted({table for table, _ in gone} - left)
    parts = sorted((table, column) for table, column in gone if table in left)
    with database_connection.connect(address) as connection:
        tables = [f"table {table}: {_count(connection, table)} rows" for table in whole]
        return (*tables, *(f"column {t}.{c}: {_count(connection, t, c)} values" for t, c in parts))


def _lost_by_restoring(address: str, kept: Path) -> tuple[str, ...]:
    (about,) = jsonl.read(kept.with_suffix(".json"))
    with database_connection.connect(address) as connection:
        return tuple(
            f"table {table}: {_count(connection, table)} rows now, {rows} as of {about['at']}"
            for table, rows in about["rows"].items()
        )


def _count(connection: database_connection.Connection, table: str, column: str | None = None) -> int:
    counted = sql.Identifier(column) if column else sql.SQL("*")
    query = sql.SQL("SELECT count({}) FROM public.{}").format(counted, sql.Identifier(table))
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
