"""Runs PostgreSQL's programs without a password among their arguments."""

import signal
import subprocess

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gaia_checks.deploy.postgres import database_connection, embedded
from gaia_checks.environment.process_variables import of_libpq, surroundings
from gaia_checks.errors import DeployError


def run(program: str, *arguments: str, dsn: str | None = None) -> str:
    """Run a PostgreSQL program with the password of `dsn` in its environment only; return its stdout.

    Raises DeployError with its last line of stderr, ConfigurationError as `database_connection.connect` does.
    """
    variables, connection = surroundings(), tuple[str, ...]()
    if dsn:
        parts = conninfo_to_dict(dsn)
        database_connection.connect(dsn).close()
        variables |= of_libpq()
        if password := parts.pop("password", None):
            variables["PGPASSWORD"] = str(password)
        connection = ("--dbname", make_conninfo("", **{**parts, "dbname": database_connection.database_name(dsn)}))
    done = subprocess.run(
        (str(embedded.program(program)), *arguments, *connection),
        env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        code = done.returncode
        outcome = f"exit code {code}" if code > 0 else f"killed by {signal.Signals(-code).name}"
        raise DeployError(f"{program}: {lines[-1] if lines else outcome}")
    return done.stdout
