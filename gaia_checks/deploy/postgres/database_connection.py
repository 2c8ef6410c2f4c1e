"""Connecting to the environment's database, and creating it."""

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gaia_checks.deploy.postgres import pooler
from gaia_checks.errors import ConfigurationError

CONNECT_TIMEOUT_S = 10

Connection = psycopg.Connection


def connect(dsn: str, *, name: str | None = None) -> psycopg.Connection:
    """Connect to `dsn`, or to the database `name` of the same server, in autocommit mode.

    Raises ConfigurationError, which never quotes the DSN, also when a pooler in between connects to another database,
    or mixes up sessions: no statement may run on a database that was not named, or without the lock it needs.
    """
    _check(dsn)
    try:
        connection = psycopg.connect(
            dsn,
            dbname=name,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="gaia_checks",
            prepare_threshold=None,  # a pooler may keep the session, and what is prepared in it
        )
    except psycopg.OperationalError as error:
        raise ConfigurationError(
            f"the database does not answer: {' '.join(str(error).split())}; check DATABASE_URL and that PostgreSQL runs"
        ) from error
    try:
        _refuse_another(connection)
        _refuse_shared_backends(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_another(connection: psycopg.Connection) -> None:
    row, requested = connection.execute("SELECT pg_catalog.current_database()").fetchone(), connection.info.dbname
    if row is None or row[0] != requested:
        actual = row[0] if row else "none"
        raise ConfigurationError(
            f"the database {requested} is requested, but the server of DATABASE_URL connects to {actual}; "
            "let its pooler keep the names of databases, or connect to PostgreSQL directly"
        )


def _refuse_shared_backends(connection: psycopg.Connection) -> None:
    if pooler.shares_backends(connection):
        raise ConfigurationError(
            "DATABASE_URL leads through a pooler in transaction mode, where locks, LISTEN and prepared statements are "
            "lost; connect to PostgreSQL directly, or let it pool sessions (PgBouncer: pool_mode=session)"
        )


def connect_maintenance(dsn: str) -> psycopg.Connection:
    """Connect as `connect` does, to the server's maintenance database `postgres`."""
    return connect(dsn, name="postgres")


def message(error: psycopg.Error) -> str:
    """Return the server's message, or else the connection's error, in one line."""
    return error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__


def database_name(dsn: str) -> str:
    """Return the name of the database that libpq connects to: that of `dsn`, its service, PGDATABASE, or the user's.

    libpq resolves it when a connection starts; this one starts at a socket that cannot exist.
    """
    attempt = pq.PGconn.connect_start(make_conninfo(dsn, host="/nonexistent", hostaddr="", port="1").encode())
    try:
        return (attempt.db or b"").decode()
    finally:
        attempt.finish()


def whereabouts(dsn: str) -> str | None:
    """Return name and host of the database, None where they could be part of a password.

    After an unescaped / or @ in a URL's password, its rest is parsed as host, port or name.
    """
    try:
        parts = {name: str(value or "") for name, value in conninfo_to_dict(dsn).items()}
    except psycopg.ProgrammingError:  # its text quotes the string with the password
        return None
    url = dsn.startswith(("postgresql://", "postgres://"))
    if url and any("@" in parts.get(name, "") for name in ("host", "port", "dbname")):
        return None
    if not set(parts.get("port", "")) <= set("0123456789,"):
        return None
    service = f"the service {parts['service']}" if parts.get("service") else "localhost"
    return f"{database_name(dsn)} on {parts.get('host') or parts.get('hostaddr') or service}"


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
    if error.__cause__ is None:
        return False
    name = database_name(dsn)
    try:
        with connect_maintenance(dsn) as server:
            return server.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is None
    except ConfigurationError:
        return False


def _create(dsn: str) -> None:
    name = database_name(dsn)
    with connect_maintenance(dsn) as server:
        try:
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return  # another process created it
        except psycopg.Error as error:
            raise ConfigurationError(
                f"database {name} does not exist and cannot be created: {message(error)}"
            ) from error


def _check(dsn: str) -> None:
    """Raise ConfigurationError for a connection string that not every command can use.

    Its text does not quote the string, as psycopg's errors do.
    """
    if whereabouts(dsn) is None:
        raise ConfigurationError(
            "DATABASE_URL: not a connection string; write postgresql://user:password@host:5432/name, "
            "and / or @ in the password as %2F or %40"
        )
    for option in pq.Conninfo.parse(dsn.encode()):
        name = option.keyword.decode()
        if option.val and option.dispchar == b"*" and name != "password":  # the others have no variable
            raise ConfigurationError(
                f"DATABASE_URL: {name} cannot be passed to pg_dump in secret: every account can read arguments; "
                "use a password, or an sslkey without a passphrase, readable only by this account"
            )
