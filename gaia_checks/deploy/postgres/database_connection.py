"""Reaching the environment's database, and making it exist."""

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from gaia_checks.errors import ConfigurationError

CONNECT_TIMEOUT_S = 10

Connection = psycopg.Connection


def connect(dsn: str, *, name: str | None = None) -> psycopg.Connection:
    """Connect to `dsn`, or to the database `name` of the same server, in autocommit mode.

    Raises ConfigurationError without quoting the DSN.
    """
    _check(dsn)
    try:
        return psycopg.connect(
            dsn, dbname=name, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="gaia_checks"
        )
    except psycopg.OperationalError as error:
        raise ConfigurationError(
            f"the database does not answer: {' '.join(str(error).split())}; check DATABASE_URL and that it runs"
        ) from error


def administrator(dsn: str) -> psycopg.Connection:
    """Connect as `connect` does, to the database `postgres` of the same server."""
    return connect(dsn, name="postgres")


def why(error: psycopg.Error) -> str:
    """Return in one line what the server says, or what happened to the connection."""
    return error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__


def whereabouts(dsn: str) -> str | None:
    """Return name and host of the database, None where they could be part of a password.

    Behind an unescaped / or @ in a URL's password, the rest of it stands where host, port or name are looked for.
    """
    url = dsn if dsn.startswith(("postgresql://", "postgres://")) else ""
    user, at, place = url.partition("?")[0].partition("://")[2].partition("@")
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:  # its text quotes the string, password and all
        return None
    if "@" in place or (at and "/" in user) or not set(str(parts.get("port") or "")) <= set("0123456789,"):
        return None
    return f"{parts.get('dbname', '')} on {parts.get('host', 'localhost')}"


def ensure_exists(dsn: str) -> bool:
    """Create the database that `dsn` names unless it is there; return whether it was created.

    Raises ConfigurationError when the server does not answer or refuses us.
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
    """Return when the server answers, whether or not it has the database yet. Raises ConfigurationError."""
    try:
        connect(dsn).close()
    except ConfigurationError as error:
        if not _absent(dsn, error):
            raise


def _absent(dsn: str, error: ConfigurationError) -> bool:
    """Whether the server says, asked in its database `postgres`, that it has none of that name.

    Its own message to `dsn` would say so too, but in the server's language.
    """
    name = None if error.__cause__ is None else conninfo_to_dict(dsn).get("dbname")
    if not name:
        return False
    try:
        with administrator(dsn) as server:
            return server.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is None
    except ConfigurationError:
        return False


def _create(dsn: str) -> None:
    name = conninfo_to_dict(dsn)["dbname"]
    with administrator(dsn) as server:
        try:
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(str(name))))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return  # somebody was faster
        except psycopg.Error as error:
            raise ConfigurationError(f"database {name} does not exist and cannot be created: {why(error)}") from error


def _check(dsn: str) -> None:
    """Raise ConfigurationError, without quoting it, for what is no connection string: psycopg's errors would."""
    if whereabouts(dsn) is None:
        raise ConfigurationError(
            "DATABASE_URL: not a connection string; write postgresql://user:password@host:5432/name, "
            "a / or @ of the password as %2F or %40"
        )
