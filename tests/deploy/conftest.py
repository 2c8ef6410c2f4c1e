"""A stage for every test that deploys."""

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
    """A place to deploy to, on a database that is somebody else's; afterwards nothing runs in it."""
    with make_stage("external", DATABASE_URL=database) as made:
        yield made


@pytest.fixture
def embedded_stage() -> Iterator[Stage]:
    """A place to deploy to that brings its own PostgreSQL; afterwards nothing runs in it."""
    with make_stage("embedded") as made:
        yield made


@contextmanager
def make_stage(database: str, *, server: str = "", **variables: str) -> Iterator[Stage]:
    """Make a place to deploy to; `server` is more text for its environment file."""
    # Not below tmp_path: it is closed to the account that PostgreSQL runs under when the tests run as root.
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
    places = {"GAIA_HOME": str(folder / "home"), "GAIA_LOG_DIR": str(folder / "log")}
    made = Stage(folder, file, {**places, **variables})
    try:
        yield made
    finally:
        rollout.stop(made.environment)
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove everything, releases too, which are closed for writing."""
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder)
