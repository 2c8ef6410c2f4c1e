"""A temporary scratch database on the server of the environment's database."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from gaia_checks.deploy.postgres import database_connection, dsn
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import ConfigurationError

_TABLES = """
    SELECT relname::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY relname
"""
_COLUMNS = """
    SELECT c.relname::text, a.attname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
"""


@contextmanager
def scratch(environment: Environment, purpose: str = "") -> Iterator[str]:
    """Yield the connection string of an empty database, dropped afterwards. Raises ConfigurationError.

    Each purpose has its own: a gate's does not disturb a deployment.
    """
    drop(environment, purpose)
    address = dsn.environment_database(environment)
    with database_connection.connect_maintenance(address) as server:
        try:
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_name(environment, purpose))))
        except psycopg.Error as error:
            raise ConfigurationError(
                f"the scratch database for the migrations cannot be created: {database_connection.message(error)}; "
                "let the account of DATABASE_URL create databases (ALTER ROLE ... CREATEDB)"
            ) from error
    try:
        yield dsn.renamed(address, _name(environment, purpose))
    finally:
        drop(environment, purpose)


def drop(environment: Environment, purpose: str = "") -> None:
    """Drop the scratch database if it exists, despite open connections. Raises ConfigurationError."""
    name = _name(environment, purpose)
    with database_connection.connect_maintenance(dsn.environment_database(environment)) as server:
        try:
            server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        except psycopg.Error as error:
            raise ConfigurationError(
                f"the scratch database {name} cannot be dropped: {database_connection.message(error)}; "
                "let the account of DATABASE_URL own it, or drop it by hand"
            ) from error


def tables(address: str) -> tuple[str, ...]:
    """Return the names of the tables in the schema `public`."""
    with database_connection.connect(address) as connection:
        return tuple(name for (name,) in connection.execute(_TABLES.encode()))


def columns(address: str) -> frozenset[tuple[str, str]]:
    """Return (table, column) of every table in the schema `public`."""
    with database_connection.connect(address) as connection:
        return frozenset((table, column) for table, column in connection.execute(_COLUMNS.encode()))


def _name(environment: Environment, purpose: str) -> str:
    digest = hashlib.sha256(f"{environment.home}\0{environment.name}".encode()).hexdigest()[:12]
    return f"gaia_scratch_{digest}{purpose and f'_{purpose}'}"
