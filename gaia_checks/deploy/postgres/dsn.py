"""The connection string of an environment's database."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

from psycopg.conninfo import make_conninfo

from gaia_checks.deploy.postgres import database_connection, embedded
from gaia_checks.environment import Environment
from gaia_checks.errors import ConfigurationError

DATABASE = "gaia"
"""The database name in an embedded PostgreSQL."""


def database_url(environment: Environment) -> str | None:
    """Return the connection string of the environment's database, None when there is none or DATABASE_URL is unset."""
    if environment.database == "none":
        return None
    cluster = embedded.of(environment)
    return cluster.dsn(DATABASE) if cluster else environment.values.get("DATABASE_URL")


def environment_database(environment: Environment) -> str:
    """Return the connection string of the environment's database. Raises ConfigurationError when there is none."""
    if environment.database == "none":
        raise ConfigurationError(f"{environment.name}: has no database; set environment.database to give it one")
    return database_url(environment) or environment.variables()["DATABASE_URL"]


def renamed(dsn: str, name: str) -> str:
    """Return `dsn` for the database `name` of the same server; a URL stays a URL."""
    if "://" in dsn:
        return urlsplit(dsn)._replace(path="/" + quote(name, safe="")).geturl()
    return make_conninfo(dsn, dbname=name)


@contextmanager
def reachable(environment: Environment) -> Iterator[str]:
    """Yield the database's connection string; a stopped embedded PostgreSQL runs while the block does."""
    cluster = embedded.of(environment)
    if cluster is None or cluster.running():
        yield environment_database(environment)
        return
    try:
        cluster.start()
        database_connection.ensure_exists(cluster.dsn(DATABASE))
        yield cluster.dsn(DATABASE)
    finally:
        cluster.stop()
