"""Fixtures: a correct server on a real database."""

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from gaia_checks.deploy.migrations import runner
from gaia_checks.deploy.migrations.migration_files import read
from gaia_checks.environment.project import ROOT
from gaia_checks.model import Release, Target
from gaia_checks.target.client import client, key
from gaia_checks.target.responses import CONFIG
from tests.probes import servers

MIGRATIONS = ROOT / "migrations"


@pytest.fixture(scope="session")
def release(executable: Path) -> Release:
    """The release of the working tree."""
    checksums = {migration.version: migration.checksum for migration in read(MIGRATIONS)}
    return Release("worktree", None, hashlib.sha256(executable.read_bytes()).hexdigest(), checksums)


@pytest.fixture(scope="session")
def server(
    postgres: str, executable: Path, release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """The real server, on a database with all migrations."""
    with (
        migrated(postgres) as dsn,
        servers.real(executable, dsn, tmp_path_factory.mktemp("server") / "server.log") as target,
    ):
        announce(target)
        yield replace(target, release=release)


@contextmanager
def migrated(postgres: str) -> Iterator[str]:
    """A database of its own with all migrations."""
    name = f"looked_at_{uuid.uuid4().hex[:12]}"  # every folder of tests that uses `server` has its own
    dsn = postgres.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    runner.up(dsn, MIGRATIONS)
    yield dsn
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def announce(target: Target) -> None:
    """Do the gate's first step: create a generous rule for the run's key."""
    rule = {"rule_name": key(target), "scope": "api_key", "scope_value": key(target)}
    with client(target, keyed=False) as http:
        limit = {"limit_type": "requests_per_second", "limit_value": 1000}
        http.post(CONFIG, json={**rule, **limit}).raise_for_status()
