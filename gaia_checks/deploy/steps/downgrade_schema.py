"""Downgrade the schema to an older release: by rollback files when every version has one, else from the dump.

The plan lists the data loss beforehand: rows of dropped tables, values of dropped columns, or rows written since the
dump. Tables that the migrations did not create are never touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from gaia_checks import jsonl
from gaia_checks.deploy.migrations import migration_files, restore, runner
from gaia_checks.deploy.postgres import database_connection, dsn, postgres_dump, scratch
from gaia_checks.deploy.release import release_folder
from gaia_checks.deploy.state import deployment_ledger, paths
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import MigrationError
from gaia_checks.model import Log


@dataclass(frozen=True, slots=True)
class DowngradePlan:
    """How to downgrade the schema, and what it loses."""

    versions: tuple[str, ...]  # to undo, newest first; empty: nothing is ahead
    source: Path  # a release with the files of all versions
    dump: Path | None  # to restore the owned tables from; None: rollback files undo each version
    losses: tuple[str, ...]  # one line per table or column


def plan(environment: Environment, release: Path) -> DowngradePlan:
    """Plan the downgrade to `release`. Changes nothing. Raises MigrationError when it is impossible."""
    address = dsn.environment_database(environment)
    applied, wanted = runner.applied(address), release_folder.describe(release).migrations
    versions = tuple(version for version in reversed(applied) if version not in wanted)
    if not versions:
        return DowngradePlan((), release, None, ())
    source = _release_with(environment, applied)
    lacking = [m.version for m in migration_files.read(source / "migrations") if m.rollback is None]
    if not set(versions) & set(lacking):
        return DowngradePlan(versions, source, None, _lost_by_files(environment, address, source, versions))
    dump = _dump_before(environment, versions[-1], lacking[-1])
    return DowngradePlan(versions, source, dump, _lost_by_restoring(address, dump))


def run(environment: Environment, release: Path, plan: DowngradePlan, log: Log) -> None:
    """Downgrade the schema. Raises MigrationError or DeployError; the schema then still matches some release."""
    address = dsn.environment_database(environment)
    runner.settle(address)
    if not plan.versions:
        return
    if plan.dump is None:
        ahead = deployment_ledger.migrated(environment)
        runner.down(address, plan.source / "migrations", count=len(plan.versions), ahead=ahead, log=log)
        return
    log(f"restoring the owned tables from {plan.dump.name}")
    with scratch.scratch(environment) as trial:
        runner.up(trial, plan.source / "migrations")
        objects = restore.objects(trial)
    restore.restore(address, objects, release / "migrations", plan.dump)


def _release_with(environment: Environment, applied: Sequence[str]) -> Path:
    """Return a release whose folder has the files of every applied version."""
    for folder in sorted(paths.of(environment).releases.glob("*/release.json")):
        if set(applied) <= set(release_folder.describe(folder.parent).migrations):
            return folder.parent
    raise MigrationError(
        f"no release here has the files of {applied[-1]}; deploy the release that added it, then roll back"
    )


def _dump_before(environment: Environment, version: str, lacking: str) -> Path:
    """Return the dump written before `version` was applied."""
    here = paths.of(environment)
    dump = postgres_dump.path(here, deployment_ledger.migrated_by(environment, version) or "none")
    if not dump.exists():
        raise MigrationError(
            f"{lacking} has no rollback/{lacking}.sql and there is no dump from before it; write the file"
        )
    return dump


def _lost_by_files(environment: Environment, address: str, source: Path, versions: Sequence[str]) -> tuple[str, ...]:
    """List what the rollback files drop: found in a scratch database, counted in the real one."""
    with scratch.scratch(environment) as trial:
        runner.up(trial, source / "migrations")
        before = scratch.columns(trial)
        runner.down(trial, source / "migrations", count=len(versions))
        dropped = before - scratch.columns(trial)
        remaining = set(scratch.tables(trial))
    dropped_tables = sorted({table for table, _ in dropped} - remaining)
    dropped_columns = sorted((table, column) for table, column in dropped if table in remaining)
    with database_connection.connect(address) as connection:
        tables = [f"table {table}: {_count(connection, table)} rows" for table in dropped_tables]
        return (*tables, *(f"column {t}.{c}: {_count(connection, t, c)} values" for t, c in dropped_columns))


def _lost_by_restoring(address: str, dump: Path) -> tuple[str, ...]:
    (described,) = jsonl.read(dump.with_suffix(".json"))
    with database_connection.connect(address) as connection:
        return tuple(
            f"table {table}: {_count(connection, table)} rows now, {rows} as of {described['at']}"
            for table, rows in described["rows"].items()
        )


def _count(connection: database_connection.Connection, table: str, column: str | None = None) -> int:
    expression = sql.Identifier(column) if column else sql.SQL("*")
    query = sql.SQL("SELECT count({}) FROM public.{}").format(expression, sql.Identifier(table))
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
