"""`gaia migrate`: applies the working tree's migrations to an environment's database, under its lock.

They are tried on a scratch database first: a file that ends its transaction is refused before it touches the real one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from gaia_checks import jsonl
from gaia_checks.deploy.git import git_command
from gaia_checks.deploy.migrations import migration_files, runner
from gaia_checks.deploy.postgres import scratch
from gaia_checks.deploy.postgres.dsn import reachable
from gaia_checks.deploy.state import lock, paths
from gaia_checks.environment.environment import Environment
from gaia_checks.environment.project import PROJECT
from gaia_checks.model import Log

FOLDER = PROJECT / "migrations"


def up(environment: Environment, log: Log) -> tuple[str, ...]:
    """Apply the working tree's pending migrations; return their versions."""
    with _environment_lock(environment, "migrate up"), reachable(environment) as dsn:
        if not all(applied for _, applied in runner.status(dsn, FOLDER)):
            if note := migration_files.note(FOLDER):
                log(note)
            with scratch.scratch(environment) as trial:
                runner.up(trial, FOLDER)
        return runner.up(dsn, FOLDER, git_sha=git_command.head(), log=log)


def down(environment: Environment, count: int, log: Log) -> tuple[str, ...]:
    """Undo the last `count` migrations; return their versions, newest first."""
    with _environment_lock(environment, "migrate down"), reachable(environment) as dsn:
        with scratch.scratch(environment) as trial:
            runner.up(trial, FOLDER, limit=len(runner.applied(dsn)))
            runner.down(trial, FOLDER, count=count)
        return runner.down(dsn, FOLDER, count=count, log=log)


def status(environment: Environment) -> tuple[tuple[str, bool], ...]:
    """Return (version, applied) for each migration. Raises MigrationError when files and database disagree."""
    with _environment_lock(environment, "migrate status"), reachable(environment) as dsn:
        return runner.status(dsn, FOLDER)


def verify(environment: Environment) -> None:
    """Raise MigrationError unless exactly the working tree's migrations are applied, unchanged."""
    with _environment_lock(environment, "migrate verify"), reachable(environment) as dsn:
        runner.verify(dsn, FOLDER)


@contextmanager
def _environment_lock(environment: Environment, why: str) -> Iterator[None]:
    environment_paths = paths.of(environment)
    paths.prepare(environment_paths)
    with lock.hold(environment_paths.deploy_lock, environment=environment.name, why=why, since=jsonl.now()):
        yield
