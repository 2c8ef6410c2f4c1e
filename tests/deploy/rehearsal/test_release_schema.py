"""The schema of a release by itself, on the server of its database or, where refused, in a cluster of its own."""

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gaia_checks.deploy.postgres import scratch
from gaia_checks.deploy.rehearsal import release_schema
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import Inconclusive
from tests.deploy.postgres.test_scratch import environment

MIGRATIONS = ROOT / "migrations"


def databases(address: str) -> set[str]:
    """Return the names of all databases of that server."""
    with psycopg.connect(address) as connection:
        return {name for (name,) in connection.execute("SELECT datname::text FROM pg_database")}


def test_it_is_made_on_the_same_server_and_removed(database: str, tmp_path: Path) -> None:
    """Its tables are the release's; a deployment's own scratch database is another one."""
    there, before = environment(tmp_path, database), databases(database)
    with scratch.scratch(there), release_schema.of(there, MIGRATIONS) as address:
        assert "rate_limit_buckets" in scratch.tables(address)
        assert len(databases(database) - before) == 2
        assert databases(address) == databases(database)
    assert databases(database) == before


def test_without_the_right_to_create_a_database_it_is_made_elsewhere(database: str, tmp_path: Path) -> None:
    """A PostgreSQL of its own lasts as long as the block."""
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS without_createdb")
        admin.execute("CREATE ROLE without_createdb LOGIN")
    there = environment(tmp_path, make_conninfo(database, user="without_createdb"))
    with release_schema.of(there, MIGRATIONS) as address:
        assert "rate_limit_buckets" in scratch.tables(address)
        folder = Path(str(conninfo_to_dict(address)["host"]))
        assert databases(address) != databases(database)
    assert not (folder / "data").exists()


def test_a_release_that_is_elsewhere_has_none(database: str, tmp_path: Path) -> None:
    """Its files are where it was deployed: the reason names what to do."""
    with (
        pytest.raises(Inconclusive, match="run the gate on the machine where `gaia deploy there` started the server"),
        release_schema.beside(environment(tmp_path, database)),
    ):
        pass
