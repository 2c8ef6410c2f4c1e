"""Test the new schema on a scratch database: the running release, and a rollback to it, must work on it."""

from collections.abc import Sequence
from pathlib import Path

from gaia_checks.deploy.migrations import migration_files, runner
from gaia_checks.deploy.postgres import scratch
from gaia_checks.deploy.release import release_folder
from gaia_checks.deploy.steps import swap
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import MigrationError, NotReady, VerifyError


def rehearse(environment: Environment, release: Path, before: Path | None, pending: Sequence[str]) -> tuple[str, ...]:
    """Apply the release's migrations to a scratch database and verify `before` on it.

    Return the tables created by the migrations applied so far, empty without any. `pending` are the versions to
    apply. Raises MigrationError.
    """
    migrations = migration_files.read(release / "migrations")
    _refuse_early_contract(migrations, before, pending)
    with scratch.scratch(environment) as address:
        applied = len(migrations) - len(pending)
        runner.up(address, release / "migrations", limit=applied)
        owned = scratch.tables(address) if applied else ()
        runner.up(address, release / "migrations")
        if before:
            _verify(environment, before, address, frozenset(m.version for m in migrations))
    return owned


def _verify(environment: Environment, before: Path, address: str, ahead: frozenset[str]) -> None:
    try:
        swap.verify_candidate(environment, before, database=address, ahead=ahead)
    except (NotReady, VerifyError) as error:
        raise MigrationError(
            f"the new schema breaks the running {before.name}: {error}; make the migration additive, "
            "and remove in a later release"
        ) from error


def _refuse_early_contract(
    migrations: Sequence[migration_files.Migration], before: Path | None, pending: Sequence[str]
) -> None:
    """Refuse a contract migration unless the running release knows every migration before it."""
    if before is None:
        return
    known = release_folder.describe(before).migrations
    for index, migration in enumerate(migrations):
        if migration.contract and migration.version in pending:
            missing = [earlier.version for earlier in migrations[:index] if earlier.version not in known]
            if missing:
                raise MigrationError(
                    f"{migration.version} removes schema (-- gaia: contract), but the running {before.name} "
                    f"does not know {missing[-1]}; deploy a release with {missing[-1]} first"
                )
