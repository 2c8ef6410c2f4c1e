"""Before the new release starts: its database exists and has its schema, default rules included."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gaia_checks.deploy import artifact, database, embedded, migrate
from gaia_checks.environment import Environment

DATABASE = "gaia"
"""The database's name in an embedded PostgreSQL."""


def prepare(environment: Environment, release: Path, say: Callable[[str], None]) -> None:
    """Create the database if it is not there and apply the release's migrations.

    Raises ConfigurationError or MigrationError; the schema is then one that some release had.
    """
    dsn = environment_database(environment)
    if database.ensure_exists(dsn):
        say("created the database")
    migrate.up(dsn, release / "migrations", git_sha=artifact.describe(release).commit, say=say)


def database_url(environment: Environment) -> str | None:
    """Return the connection string of the environment's database, None when nobody set one."""
    cluster = embedded.of(environment)
    return cluster.dsn(DATABASE) if cluster else environment.values.get("DATABASE_URL")


def environment_database(environment: Environment) -> str:
    """Return the connection string of the environment's database. Raises MissingVariable when nobody set one."""
    return database_url(environment) or environment.variables()["DATABASE_URL"]


@contextmanager
def reachable(environment: Environment) -> Iterator[str]:
    """Give the database's connection string; an embedded PostgreSQL that rests runs for as long as the block does."""
    cluster = embedded.of(environment)
    if cluster is None or cluster.running():
        yield environment_database(environment)
        return
    try:
        cluster.start()
        database.ensure_exists(cluster.dsn(DATABASE))
        yield cluster.dsn(DATABASE)
    finally:
        cluster.stop()
