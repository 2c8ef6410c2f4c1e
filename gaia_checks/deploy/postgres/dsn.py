"""The connection string of an environment's database."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gaia_checks.deploy.postgres import database_connection, embedded
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import ConfigurationError, MissingVariable

DATABASE = "gaia"
"""The database name in an embedded PostgreSQL."""


def database_url(environment: Environment) -> str | None:
    """Return the connection string of the environment's database, None when there is none or DATABASE_URL is unset."""
    if environment.database == "none":
        return None
    cluster = embedded.of(environment)
    return cluster.dsn(DATABASE) if cluster else environment.values.get("DATABASE_URL")


def environment_database(environment: Environment) -> str:
    """Return the connection string of the environment's database. Raises ConfigurationError without one."""
    if environment.database == "none":
        raise ConfigurationError(f"{environment.name}: has no database; set environment.database to give it one")
    address = database_url(environment)
    if address is None:
        environment.variables()  # names all that are missing, if the file requires it
        raise MissingVariable(f"{environment.name}: DATABASE_URL not set; export DATABASE_URL=... and run again")
    return address


def renamed(dsn: str, name: str) -> str:
    """Return `dsn` for the database `name` of the same server, as libpq parses it.

    A URL stays a URL, with the name in its path and nowhere else: not every server understands keywords.
    """
    keywords = make_conninfo(dsn, dbname=name)
    return _url(conninfo_to_dict(keywords)) if dsn.startswith(("postgresql://", "postgres://")) else keywords


def _url(parts: Mapping[str, Any]) -> str:
    """Return the URL with these parts; socket folders and lists of hosts stand in its query."""
    host, given = str(parts.get("host", "/")), {key: quote(str(value), safe="") for key, value in parts.items()}
    account, name, place = given.pop("user", ""), given.pop("dbname"), ""
    if "password" in given:
        account += f":{given.pop('password')}"
    if not {"/", ","} & set(host):
        place = f"[{given.pop('host').replace('%3A', ':')}]" if ":" in host else given.pop("host")
        place += f":{given.pop('port')}" if "port" in given else ""
    query = "&".join(f"{key}={value}" for key, value in given.items())
    return f"postgresql://{account}{'@' if account else ''}{place}/{name}{'?' if query else ''}{query}"


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
