"""The server with small changes in its source or its migrations: faults of the kind that a developer makes."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from gaia_checks.deploy.migrations import runner
from gaia_checks.environment.project import ROOT

Change = tuple[str, str, str]
"""A file of the repository, a text that is in it once, and its replacement."""

_SCRIPT = """#!/usr/bin/env python3
import sys
sys.path.insert(0, {folder!r})
from gaia_server.__main__ import main
main()
"""


def source(folder: Path, *changes: Change) -> tuple[Path, Path]:
    """Copy the server and its migrations, changed, below `folder`; return the program and the migrations."""
    for name in ("gaia_server", "migrations"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in changes:
        file = folder / name
        text = file.read_text()
        assert text.count(old) == 1, f"{name} has {text.count(old)} times: {old}"
        file.write_text(text.replace(old, new))
    program = folder / "patched_server.py"
    program.write_text(_SCRIPT.format(folder=str(folder)))
    program.chmod(0o755)
    return program, folder / "migrations"


@contextmanager
def migrated(postgres: str, name: str, migrations: Path) -> Iterator[str]:
    """A database of that name with these migrations."""
    dsn = postgres.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    try:
        runner.up(dsn, migrations)
        yield dsn
    finally:
        with psycopg.connect(postgres, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
