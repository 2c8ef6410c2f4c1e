"""The gate's own session."""

from gaia_checks.model import Target
from gaia_checks.target.postgres_session import session


def test_the_options_of_the_connection_string_stay(database: str) -> None:
    """The gate's limits are added to the options that DATABASE_URL gives."""
    target = Target("qa", "http://127.0.0.1:9", "run", database_url=f"{database}&options=-c%20jit%3Doff")
    with session(target) as connection:
        assert connection.execute("SHOW jit").fetchone() == ("off",)
        assert connection.execute("SHOW default_transaction_read_only").fetchone() == ("on",)
