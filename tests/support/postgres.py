"""A real PostgreSQL for tests: one per session and xdist worker, one empty database per test that asks."""

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from gaia_checks.deploy.postgres.embedded import Cluster


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The connection string of the administrator's database `postgres`, by Unix socket."""
    # Not below tmp_path: it is closed to the account that PostgreSQL runs under when the tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="gaia-pg-"))
    folder.chmod(0o711)
    cluster = Cluster(folder / "pg", settings={"fsync": "off", "full_page_writes": "off", "max_connections": "200"})
    try:
        cluster.start()
        yield cluster.dsn("postgres", account="postgres")
    finally:
        cluster.stop()
        shutil.rmtree(folder)


@pytest.fixture
def database(postgres: str) -> Iterator[str]:
    """The connection string of a fresh empty database, dropped afterwards whoever is still connected."""
    with fresh(postgres) as made:
        yield made


@contextmanager
def fresh(postgres: str) -> Iterator[str]:
    """Make an empty database and drop it afterwards."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    identifier = sql.Identifier(name)
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(identifier))
    yield postgres.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))
