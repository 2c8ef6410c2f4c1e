"""Prepare the database before the new release starts: create it and migrate its schema, default rules included.

Before migrations are applied, squawk lints them, the running release is verified on the new schema in a scratch
database, and the owned tables are dumped to disk.
"""

from pathlib import Path

from gaia_checks.deploy.migrations import lint, runner
from gaia_checks.deploy.postgres import database_connection, postgres_dump
from gaia_checks.deploy.postgres.dsn import database_url
from gaia_checks.deploy.release import release_folder
from gaia_checks.deploy.state import deployment_ledger, paths
from gaia_checks.deploy.state.checkpoints import Checkpoint
from gaia_checks.deploy.steps import rehearse_migrations, swap
from gaia_checks.deploy.steps.deployment import Deployment
from gaia_checks.environment.environment import Environment
from gaia_checks.model import Log


def prepare(environment: Environment, release: Path, before: Path | None, deployment: Deployment, log: Log) -> None:
    """Create the database if it does not exist, and apply the release's migrations.

    Raises ConfigurationError, MigrationError or VerifyError; the schema then still matches some release.
    """
    with deployment.at(Checkpoint.SUPERVISOR):
        swap.ensure_supervisor(environment)
    dsn = database_url(environment)
    if dsn is None:
        return
    with deployment.at(Checkpoint.DATABASE):
        if database_connection.ensure_exists(dsn):
            log("created the database")
    migrations, ahead = release / "migrations", deployment_ledger.migrated(environment)
    runner.settle(dsn)
    pending = [version for version, applied in runner.status(dsn, migrations, ahead=ahead) if not applied]
    if not pending:
        return
    deployment.record("prepare", "migrating", migrating=pending)
    with deployment.at(Checkpoint.LINT):
        lint.check(migrations, pending, environment.allowed)
    with deployment.at(Checkpoint.REHEARSE):
        owned = rehearse_migrations.rehearse(environment, release, before, pending)
    with deployment.at(Checkpoint.DUMP):
        if owned:
            postgres_dump.write(dsn, owned, postgres_dump.path(paths.of(environment), deployment.id))
    with deployment.at(Checkpoint.MIGRATE):
        runner.up(dsn, migrations, git_sha=release_folder.describe(release).commit, ahead=ahead, log=log)
