"""Before the new release starts: its database exists and has its schema, default rules included.

Nothing is applied before squawk has read it, the running release has kept its promises on the new schema in a scratch
database, and the tables that are ours lie on the disk as they were.
"""

from collections.abc import Callable
from pathlib import Path

from gaia_checks.deploy.migrations import lint, runner
from gaia_checks.deploy.postgres import database_connection, dump
from gaia_checks.deploy.postgres.dsn import database_url
from gaia_checks.deploy.release import release_folder
from gaia_checks.deploy.state import ledger, paths
from gaia_checks.deploy.state.checkpoints import Checkpoint
from gaia_checks.deploy.steps import rehearse_migrations, swap
from gaia_checks.deploy.steps.deployment import Deployment
from gaia_checks.environment import Environment


def prepare(
    environment: Environment, release: Path, before: Path | None, story: Deployment, say: Callable[[str], None]
) -> None:
    """Create the database if it is not there and apply the release's migrations.

    Raises ConfigurationError, MigrationError or VerifyError; the schema is then one that some release had.
    """
    with story.at(Checkpoint.SUPERVISOR):
        swap.ensure_supervisor(environment)
    dsn = database_url(environment)
    if dsn is None:
        return
    with story.at(Checkpoint.DATABASE):
        if database_connection.ensure_exists(dsn):
            say("created the database")
    migrations, ahead = release / "migrations", ledger.migrated(environment)
    pending = [version for version, applied in runner.status(dsn, migrations, ahead=ahead) if not applied]
    if not pending:
        return
    story.record("prepare", "migrating", migrating=pending)
    with story.at(Checkpoint.LINT):
        lint.check(migrations, pending, environment.allowed)
    with story.at(Checkpoint.REHEARSE):
        owned = rehearse_migrations.rehearse(environment, release, before, pending)
    with story.at(Checkpoint.DUMP):
        if owned:
            dump.write(dsn, owned, dump.path(paths.of(environment), story.id))
    with story.at(Checkpoint.MIGRATE):
        runner.up(dsn, migrations, git_sha=release_folder.describe(release).commit, ahead=ahead, say=say)
