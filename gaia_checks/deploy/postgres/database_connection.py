"""Connecting to the environment's database, and creating it."""

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from gaia_checks.errors import ConfigurationError

CONNECT_TIMEOUT_S = 10

Connection = psycopg.Connection


def connect(dsn: str, *, name: str | None = None) -> psycopg.Connection:
    """Connect to `dsn`, or to the database `name` of the same server, in autocommit mode.

    Raises ConfigurationError, which never quotes the DSN.
    """
    _check(dsn)
    try:
        return psycopg.connect(
            dsn, dbname=name, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="gaia_checks"
        )
    except psycopg.OperationalError as error:
        raise ConfigurationError(
            f"the database does not answer: {' '.join(str(error).split())}; check DATABASE_URL and that PostgreSQL runs"
        ) from error


def connect_maintenance(dsn: str) -> psycopg.Connection:
    """Connect as `connect` does, to the server's maintenance database `postgres`."""
    return connect(dsn, name="postgres")


def message(error: psycopg.Error) -> str:
    """Return the server's message, or else the connection's error, in one line."""
    return error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__


def whereabouts(dsn: str) -> str | None:
    """Return name and host of the database, None where they could be part of a password.

    After an unescaped / or @ in a URL's password, its rest is parsed as host, port or name.
    """
    url = dsn if dsn.startswith(("postgresql://", "postgres://")) else ""
    user, at, address = url.partition("?")[0].partition("://")[2].partition("@")
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:  # its text quotes the string with the password
        return None
    if "@" in address or (at and "/" in user) or not set(str(parts.get("port") or "")) <= set("0123456789,"):
        return None
    return f"{parts.get('dbname', '')} on {parts.get('host', 'localhost')}"


def ensure_exists(dsn: str) -> bool:
    """Create the database that `dsn` names unless it exists; return whether it was created.

    Raises ConfigurationError when the server does not answer or refuses the request.
    """
    try:
        connect(dsn).close()
    except ConfigurationError as error:
        if not _absent(dsn, error):
            raise
        _create(dsn)
        return True
    return False


def reach(dsn: str) -> None:
    """Raise ConfigurationError unless the server answers; the database itself may not exist yet."""
    try:
        connect(dsn).close()
    except ConfigurationError as error:
        if not _absent(dsn, error):
            raise


def _absent(dsn: str, error: ConfigurationError) -> bool:
    """Whether the server's catalog, read in its database `postgres`, lacks the database.

    The error of connecting to `dsn` is in the server's language, so it cannot be parsed.
    """
    name = None if error.__cause__ is None else conninfo_to_dict(dsn).get("dbname")
    if not name:
        return False
    try:
        with connect_maintenance(dsn) as server:
            return server.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is None
    except ConfigurationError:
        return False


def _create(dsn: str) -> None:
    name = conninfo_to_dict(dsn)["dbname"]
    with connect_maintenance(dsn) as server:
        try:
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(str(name))))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return  # another process created it
        except psycopg.Error as error:
            raise ConfigurationError(
                f"database {name} does not exist and cannot be created: {message(error)}"
            ) from error


def _check(dsn: str) -> None:
    """Raise ConfigurationError for an invalid connection string, without quoting it as psycopg's errors do."""
    if whereabouts(dsn) is None:
        raise ConfigurationError(
            "DATABASE_URL: not a connection string; write postgresql://user:password@host:5432/name, "
            "and / or @ in the password as %2F or %40"
        )
