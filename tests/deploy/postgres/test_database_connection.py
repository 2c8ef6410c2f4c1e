"""The displayed part of a connection string."""

import pytest

from gaia_checks.deploy.postgres import database_connection


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://u:p%2Fw%40@h:5432/db", "db on h"),
        ("host=h dbname=db password=a://b/c@d@e", "db on h"),
        ("postgres//u:canary@h/db", None),
        ("postgresql://u:pa/canary@h:5432/db", None),
        ("postgresql://u:12/canary@h:5432/db", None),
        ("postgresql://u:pa@canary@h:5432/db", None),
        ("postgresql://u:canary/db", None),
    ],
)
def test_the_displayed_database_never_contains_a_password(dsn: str, shown: str | None) -> None:
    """The rest of an unescaped password is never displayed as a host or a name."""
    assert database_connection.whereabouts(dsn) == shown
