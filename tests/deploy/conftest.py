"""Test environments for every test that deploys."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gaia_checks.deploy import rollout
from gaia_checks.deploy.supervisor.spawn import free_port
from tests.deploy.stage import Stage

MIGRATION = "CREATE TABLE IF NOT EXISTS items (id int PRIMARY KEY);\n"


@pytest.fixture
def stage(database: str) -> Iterator[Stage]:
    """A test environment on an external database; everything is stopped afterwards."""
    with make_stage("external", DATABASE_URL=database) as made:
        yield made


@pytest.fixture
def embedded_stage() -> Iterator[Stage]:
    """A test environment with an embedded PostgreSQL; everything is stopped afterwards."""
    with make_stage("embedded") as made:
        yield made


@contextmanager
def make_stage(database: str, *, server: str = "", **variables: str) -> Iterator[Stage]:
    """Make a test environment; `server` is additional text for its environment file."""
    # Not below tmp_path, which the PostgreSQL account cannot read when the tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="gaia-stage-"))
    folder.chmod(0o711)
    file = folder / "stage.toml"
    file.write_text(
        f'[environment]\nstage = "dev"\ndatabase = "{database}"\nhost = "127.0.0.1"\n'
        f'[environment.defaults]\nPORT = "{free_port()}"\n{server}'
    )
    (folder / "migrations").mkdir()
    (folder / "migrations" / "order.txt").write_text("001_items.sql\n")
    (folder / "migrations" / "001_items.sql").write_text(MIGRATION)
    folders = {"GAIA_HOME": str(folder / "home"), "GAIA_LOG_DIR": str(folder / "log")}
    made = Stage(folder, file, {**folders, **variables})
    try:
        yield made
    finally:
        rollout.stop(made.environment)
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove the folder, including its read-only releases."""
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder)
