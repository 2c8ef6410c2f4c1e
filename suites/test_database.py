"""The server's database."""

import pytest

from gaia_checks.probes import database, migrations
from gaia_checks.suite import Look


@pytest.mark.criterion("dev.database")
def test_database_connected(look: Look) -> None:
    """The server reports its connection, and PostgreSQL has its session."""
    look(database.probe)


@pytest.mark.criterion("dev.migrations")
def test_migrations_complete(look: Look) -> None:
    """The schema is exactly that of the release's migrations."""
    look(migrations.probe, released=look.release_schema())


@pytest.mark.criterion("prod.connections")
def test_connections_healthy(look: Look) -> None:
    """The pool is never exhausted, nothing waits, nothing idles in a transaction."""
    look.recorded()
