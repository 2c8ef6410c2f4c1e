"""Fixtures for all tests: a real PostgreSQL and the real executable."""

import fcntl
import subprocess
from pathlib import Path

import pytest
from hypothesis import settings

from gaia_checks.environment import ROOT
from tests.support.postgres import database, postgres

__all__ = ["database", "postgres"]

settings.register_profile("gaia", deadline=None)  # how long an example takes says more of the machine than of the code
settings.load_profile("gaia")


@pytest.fixture(scope="session")
def executable() -> Path:
    """The server's single executable, built if its sources are newer than it."""
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # xdist workers build once
        subprocess.run(("make", "--silent", "build"), cwd=ROOT, check=True)
    return folder / "gaia_server"
