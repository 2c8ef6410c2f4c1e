"""PostgreSQL's programs."""

import pytest

from gaia_checks.deploy.postgres import programs
from gaia_checks.errors import ConfigurationError


def test_no_passphrase_of_a_key_becomes_an_argument() -> None:
    """The arguments of PostgreSQL's programs are everybody's to read, and this has no variable to go by."""
    with pytest.raises(ConfigurationError, match="pg_dump cannot be given sslpassword in secret; let sslkey") as raised:
        programs.run("pg_dump", dsn="postgresql://127.0.0.1:1/db?sslpassword=canary-3e0")
    assert "canary" not in str(raised.value)
