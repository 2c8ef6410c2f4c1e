"""PostgreSQL's programs."""

import errno
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import pytest
from gaia_checks import environment, journal
from gaia_checks.deploy import control, database, dump, executable, lint, lock, logfile, places, restart, story, tag
from gaia_checks.deploy.points import Point
from gaia_checks.errors import Busy, ConfigurationError, DeployError, MissingDependency


def test_no_passphrase_of_a_key_becomes_an_argument() -> None:
    """The arguments of PostgreSQL's programs are everybody's to read, and this has no variable to go by."""
    with pytest.raises(ConfigurationError, match="pg_dump cannot be given sslpassword in secret; let sslkey") as raised:
        dump.run("pg_dump", dsn="postgresql://127.0.0.1:1/db?sslpassword=canary-3e0")
    assert "canary" not in str(raised.value)
