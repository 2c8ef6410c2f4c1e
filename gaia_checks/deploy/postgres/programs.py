"""PostgreSQL's own programs, run with a password that is in no argument."""

import signal
import subprocess

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gaia_checks.deploy.postgres import embedded
from gaia_checks.environment import surroundings
from gaia_checks.errors import ConfigurationError, DeployError


def run(program: str, *words: str, dsn: str | None = None) -> str:
    """Run one of PostgreSQL's programs, the password of `dsn` by its environment alone; return what it printed.

    Raises DeployError with its last words, ConfigurationError where a password would be among its arguments.
    """
    variables, connection = surroundings(), tuple[str, ...]()
    if dsn:
        parts = conninfo_to_dict(dsn)
        if "sslpassword" in parts:  # there is no variable for it, and arguments are everybody's to read
            raise ConfigurationError(
                f"DATABASE_URL: {program} cannot be given sslpassword in secret; "
                "let sslkey name a key without a passphrase, for our eyes only"
            )
        variables["PGPASSWORD"] = str(parts.pop("password", "") or "")
        connection = ("--dbname", make_conninfo("", **parts))
    done = subprocess.run(
        (str(embedded.program(program)), *words, *connection),
        env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        code = done.returncode
        ending = f"exit code {code}" if code > 0 else f"ended by {signal.Signals(-code).name}"
        raise DeployError(f"{program}: {said[-1] if said else ending}")
    return done.stdout
