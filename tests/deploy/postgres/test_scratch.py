"""The scratch database is the only one that its users reach, however the connection string is written."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from gaia_checks.deploy.migrations import round_trip, runner
from gaia_checks.deploy.postgres import scratch
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import ConfigurationError
from tests.support import pgbouncer

ROWS = 500
WRITTEN = {
    "query": "postgresql://{user}@/?host={quoted}&dbname={dbname}",
    "query and path": "postgresql://{user}@/another?host={quoted}&dbname={dbname}",
    "authority": "postgresql://{user}@{encoded}/?dbname={dbname}",
    "keywords": "user={user} host={host} dbname='{dbname}'",
    "service": "service=gaia",
    "service in a URL": "postgresql:///?service=gaia",
}
"""Connection strings in which a query, keywords or a file name the database."""


@pytest.fixture
def real(database: str) -> Iterator[str]:
    """Fill the real database with rows, and see that they stay."""
    with psycopg.connect(database) as connection:
        connection.execute(f"CREATE TABLE items AS SELECT generate_series(1, {ROWS}) AS id".encode())
    yield database
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM items").fetchone() == (ROWS,)
        names = connection.execute("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert names == [("items",)]


def environment(folder: Path, dsn: str) -> Environment:
    """Return an external environment on the database of `dsn`."""
    file = folder / "there.toml"
    file.write_text('[environment]\nstage = "dev"\ndatabase = "external"\nhost = "127.0.0.1"\n')
    return environment_file.load(str(file), variables={"GAIA_HOME": str(folder), "DATABASE_URL": dsn})


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN.keys())
def test_no_spelling_of_the_database_leads_a_rehearsal_to_it(
    written: str, real: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Migrations go up and down on the scratch database; the real one keeps its rows."""
    parts = conninfo_to_dict(real)
    service = tmp_path / "services"
    service.write_text("[gaia]\n" + "".join(f"{name}={parts[name]}\n" for name in ("user", "host", "dbname")))
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    host = str(parts["host"])
    dsn = written.format(**parts, quoted=quote(host), encoded=quote(host, safe=""))
    assert round_trip.tried(environment(tmp_path, dsn), ROOT / "migrations") == ()


def test_a_pooler_that_leads_elsewhere_is_refused_before_the_first_statement(real: str, tmp_path: Path) -> None:
    """The server names another database than was requested: nothing runs there."""
    name = str(conninfo_to_dict(real)["dbname"])
    with pgbouncer.before(real, mode="session", database=name) as dsn:
        there = environment(tmp_path, dsn)
        with pytest.raises(ConfigurationError, match=f"postgres is requested, but .* connects to {name}; "):
            round_trip.tried(there, ROOT / "migrations")
        with pytest.raises(ConfigurationError, match=f"gaia_scratch_.* connects to {name}; "):
            runner.up(dsn.replace(f"/{name}", "/gaia_scratch_x"), ROOT / "migrations")


def test_a_url_stays_a_url_for_the_server_on_the_scratch_database(database: str, tmp_path: Path) -> None:
    """A server that understands no keywords gets the scratch database in the path."""
    with scratch.scratch(environment(tmp_path, f"{database}&options=-c%20jit%3Doff")) as address:
        path = address.partition("?")[0].rpartition("/")[2]
        assert address.startswith("postgresql://")
        assert path == conninfo_to_dict(address)["dbname"]
        assert conninfo_to_dict(address)["options"] == "-c jit=off"
