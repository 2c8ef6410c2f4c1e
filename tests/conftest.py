"""Fixtures for all tests: a real PostgreSQL and the real executable."""

import fcntl
import subprocess
from pathlib import Path

import pytest

from gaia_checks.environment.project import ROOT
from tests.support.postgres import database, postgres

__all__ = ["database", "postgres"]


def pytest_configure(config: pytest.Config) -> None:
    """Set no deadline for examples: their time depends on the machine more than on the code.

    pytest reads this file for a gate, too, whose installation has no Hypothesis.
    """
    if config.option.env is None:
        from hypothesis import settings

        settings.register_profile("gaia", deadline=None)
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
