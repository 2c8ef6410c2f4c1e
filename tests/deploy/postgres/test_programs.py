"""Running PostgreSQL's programs."""

import pytest

from gaia_checks.deploy.postgres import programs
from gaia_checks.errors import ConfigurationError


def test_the_passphrase_of_a_key_never_becomes_an_argument() -> None:
    """A passphrase is refused: it has no environment variable, and every account can read arguments."""
    with pytest.raises(
        ConfigurationError, match=r"sslpassword cannot be passed to pg_dump in secret: .* an sslkey without"
    ) as raised:
        programs.run("pg_dump", dsn="postgresql://127.0.0.1:1/db?sslpassword=canary-3e0")
    assert "canary" not in str(raised.value)
