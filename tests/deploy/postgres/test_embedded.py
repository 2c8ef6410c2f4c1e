"""The embedded PostgreSQL: what runs on it owns its database and is no superuser."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gaia_checks.deploy.migrations import round_trip, runner
from gaia_checks.deploy.postgres import database_connection, dsn
from gaia_checks.deploy.postgres.embedded import Cluster
from gaia_checks.deploy.steps import swap
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import MigrationError
from tests.deploy.stage import Stage

OLD = """
    CREATE TABLE items (id serial PRIMARY KEY);
    CREATE VIEW seen AS SELECT id FROM items;
    CREATE SEQUENCE numbers;
    CREATE TYPE tier AS ENUM ('a', 'b');
    CREATE DOMAIN score AS int CHECK (VALUE >= 0);
    CREATE TYPE pair AS (a int, b int);
    CREATE FUNCTION one(tier) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE TABLE "odd ""name" (id int) PARTITION BY LIST (id);
"""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL of the test's own."""
    folder = Path(tempfile.mkdtemp(prefix="gaia-pg-"))
    folder.chmod(0o711)
    made = Cluster(folder / "pg", settings={"fsync": "off"})
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


@pytest.fixture
def address(cluster: Cluster) -> str:
    """The environment's database, created as a deployment does."""
    database_connection.ensure_exists(cluster.dsn())
    return cluster.dsn()


def test_a_migration_cannot_start_a_program(address: str, tmp_path: Path) -> None:
    """What needs a superuser fails here as it fails on a real environment."""
    (tmp_path / "order.txt").write_text("001_copy.sql\n")
    (tmp_path / "001_copy.sql").write_text(f"COPY (SELECT 1) TO PROGRAM 'cat > {tmp_path}/written';\n")
    with pytest.raises(MigrationError, match=r"001_copy\.sql: permission denied to COPY"):
        runner.up(address, tmp_path)
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "ALTER ROLE gaia SUPERUSER",
        "GRANT pg_execute_server_program TO gaia",
        "ALTER SYSTEM SET archive_command = 'true'",
    ],
)
def test_the_account_cannot_become_a_superuser(address: str, statement: str) -> None:
    """No statement gives it what it lacks."""
    with database_connection.connect(address) as connection, pytest.raises(psycopg.Error):
        connection.execute(statement.encode())


def test_the_account_owns_its_database(address: str) -> None:
    """It owns the database that it created, and may create scratch databases."""
    with database_connection.connect(address) as connection:
        row = connection.execute(
            "SELECT rolname, datdba = r.oid, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
            " FROM pg_roles r, pg_database WHERE rolname = current_user AND datname = current_database()"
        ).fetchone()
    assert row == ("gaia", True, False, True, False, False, False)


def test_scratch_databases_and_the_server_use_the_same_account(embedded_stage: Stage) -> None:
    """The project's migrations go up and down in a scratch database; the server gets the owner's address."""
    environment = embedded_stage.environment
    assert round_trip.tried(environment, ROOT / "migrations") == ()
    given = swap.variables(environment)["DATABASE_URL"]
    assert given == dsn.environment_database(environment)
    assert given.startswith("postgresql://gaia@/gaia?")


def test_what_the_superuser_created_before_is_handed_over_at_the_next_start(cluster: Cluster, tmp_path: Path) -> None:
    """A cluster of an earlier version stays usable, with its rows."""
    with psycopg.connect(cluster.dsn("postgres", account="postgres"), autocommit=True) as admin:
        admin.execute("DROP ROLE gaia")
        admin.execute("CREATE DATABASE gaia")
    with psycopg.connect(cluster.dsn(account="postgres")) as admin:
        admin.execute(OLD)
        admin.execute("INSERT INTO items DEFAULT VALUES")
        admin.execute(runner.CREATE_TABLE.encode())
    cluster.stop()
    cluster.start()
    drops = ("VIEW seen", "FUNCTION one", "SEQUENCE numbers", "TYPE tier", "DOMAIN score", "TYPE pair")
    (tmp_path / "order.txt").write_text("002_more.sql\n")
    (tmp_path / "002_more.sql").write_text(
        'ALTER TABLE items ADD COLUMN name text; ALTER TABLE "odd ""name" ADD COLUMN name text;\n'
        "INSERT INTO items DEFAULT VALUES;\n" + "".join(f"DROP {what};\n" for what in drops)
    )
    assert runner.up(cluster.dsn(), tmp_path) == ("002_more",)
    with psycopg.connect(cluster.dsn()) as connection:
        assert connection.execute("SELECT id FROM items ORDER BY id").fetchall() == [(1,), (2,)]


def test_a_frozen_one_can_be_stopped(cluster: Cluster) -> None:
    """It answers nobody, and a clean-up after a killed gate ends it all the same."""
    cluster.freeze()
    with pytest.raises(psycopg.OperationalError, match="timeout"):
        psycopg.connect(cluster.dsn(), connect_timeout=2)
    cluster.stop()
    assert not cluster.alive()
