"""Commands that change what is deployed: `gaia release`, `deploy`, `rollback`, `stop`, `prune` and `migrate`."""

import sys

import click

from gaia_checks.cli.parameters import SETTINGS, env_argument, env_option, remote_option, to_stderr, to_stdout
from gaia_checks.environment import environment_file
from gaia_checks.errors import ConfigurationError


@click.command("release", context_settings=SETTINGS)
@click.argument("phase", help="the name of the new release, e.g. phase-11.4")
@env_option("--to", "the environment of the first stage", default="dev")
def release_command(phase: str, to: str) -> None:
    """Build the working tree's server, commit the executable, and tag it for the first environment."""
    from gaia_checks.deploy.release import cut

    where = environment_file.load(to)
    cut.cut(where, phase, to_stdout(where))


@click.command("deploy")
@env_argument()
@click.argument("phase", required=False, help="deploy the tag deploy/ENV/PHASE; without it the working tree")
@remote_option
def deploy_command(env: str, phase: str | None, remote: str | None) -> None:
    """Deploy a release completely, or keep the previous one."""
    from gaia_checks.deploy import rollout
    from gaia_checks.deploy.git import tag
    from gaia_checks.deploy.reporting import notify

    where = environment_file.load(env)
    wanted = phase or tag.WORKTREE
    if wanted == tag.WORKTREE and where.database != "embedded":
        raise ConfigurationError(f"{where.name}: give the phase to deploy, e.g. gaia deploy {env} phase-11.4")
    with notify.notifying(where, wanted):
        admitted = None
        if where.promoted and wanted != tag.WORKTREE:
            from gaia_checks.promotion import admission

            admitted = admission.admit(where, wanted, remote, to_stdout(where))
        rollout.deploy(where, phase=wanted, commit=admitted, log=to_stdout(where))


@click.command("rollback")
@env_argument()
@click.option("--to", metavar="PHASE", help="roll back to this release instead of the previous one")
@click.option("--database", is_flag=True, help="downgrade the schema as well")
@click.option("--yes", is_flag=True, help="do not ask before losing data")
def rollback_command(env: str, to: str | None, *, database: bool, yes: bool) -> None:
    """Roll back to the previous release; the schema stays unless --database is given."""
    from gaia_checks.deploy import rollout
    from gaia_checks.deploy.reporting import notify

    def confirm(losses: tuple[str, ...]) -> bool:
        print("this data would be lost:", *losses, sep="\n  ")
        return yes or (sys.stdin.isatty() and click.confirm("continue?"))

    where = environment_file.load(env)
    with notify.notifying(where, to or "the previous release", done="is back"):
        rollout.rollback(where, phase=to, database=database, confirm=confirm, log=to_stdout(where))


@click.command("stop")
@env_argument()
def stop_command(env: str) -> None:
    """Stop the server, its supervisor and an embedded PostgreSQL."""
    from gaia_checks.deploy import rollout

    where = environment_file.load(env)
    rollout.stop(where)
    print(f"{where.name}: stopped")


@click.command("prune", context_settings=SETTINGS)
@env_argument()
@click.option("--keep", type=click.IntRange(min=0), default=5, help="number of newest releases to keep")
def prune_command(env: str, keep: int) -> None:
    """Remove old releases, but never the current or the previous one."""
    from gaia_checks.deploy import prune

    where = environment_file.load(env)
    print(f"{where.name}: removed: {', '.join(prune.prune(where, keep, to_stderr(where))) or 'nothing'}")


@click.command("migrate", context_settings=SETTINGS)
@env_argument()
@click.argument("action", metavar="up|down|status|verify")
@click.option("--count", type=click.IntRange(min=1), default=1, help="number of migrations to undo")
def migrate_command(env: str, action: str, count: int) -> None:
    """Apply or undo the working tree's migrations, or compare them with the database."""
    from gaia_checks.deploy import migrate

    where = environment_file.load(env)
    match action:
        case "up":
            print(f"applied: {', '.join(migrate.up(where, to_stdout(where))) or 'nothing was pending'}")
        case "down":
            print(f"undone: {', '.join(migrate.down(where, count, to_stdout(where))) or 'nothing was applied'}")
        case "status":
            for version, applied in migrate.status(where):
                print(f"{'applied' if applied else 'pending'}  {version}")
        case "verify":
            migrate.verify(where)
            print(f"{where.name}: exactly the migrations of the working tree are applied")
        case _:
            raise ConfigurationError(f"migrate: {action!r} is not one of up, down, status, verify")
