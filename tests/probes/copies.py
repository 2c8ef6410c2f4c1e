"""Rehearsal copies of releases made by a test, without a target."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gaia_checks.deploy.rehearsal import bare_copy
from gaia_checks.deploy.rehearsal.bare_copy import BareCopy
from gaia_checks.deploy.rehearsal.rehearsal_copy import RehearsalCopy
from gaia_checks.deploy.release import release_folder
from gaia_checks.deploy.state import paths
from gaia_checks.deploy.steps import swap
from gaia_checks.environment.environment import Environment
from gaia_checks.environment.project import ROOT
from gaia_checks.probes.rehearsal import moved_admissions
from tests.deploy.conftest import make_stage
from tests.probes.servers import RUN, TOKEN

MIGRATIONS = ROOT / "migrations"


@contextmanager
def place() -> Iterator[Environment]:
    """An environment with its own PostgreSQL, like a rehearsal copy; supervisor and PostgreSQL run."""
    with make_stage("embedded", ADMIN_TOKEN=TOKEN, **moved_admissions.RETENTION) as stage:
        paths.prepare(paths.of(stage.environment))
        swap.ensure_supervisor(stage.environment)
        yield stage.environment


@contextmanager
def copy_of(release: Path, origin: Environment | None = None) -> Iterator[RehearsalCopy]:
    """A rehearsal copy of a release; `origin` is the repository of the previous release."""
    with place() as here:
        yield RehearsalCopy(here, origin or here, RUN, release, stand_in=False)


def variant(folder: Path, *changes: tuple[str, str], file: str = "050_rate_limiting.sql") -> Path:
    """Write the project's migrations with a replacement in one file: (old, new)."""
    shutil.copytree(MIGRATIONS, folder)
    for old, new in changes:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))
    return folder


@contextmanager
def released(executable: Path, folder: Path, migrations: Path = MIGRATIONS) -> Iterator[Path]:
    """A release of the given parts, in a temporary folder."""
    folder.mkdir()
    try:
        yield release_folder.from_worktree(folder, executable=executable, migrations=migrations)
    finally:
        release_folder.remove(folder)


@contextmanager
def bare_copy_of(release: Path) -> Iterator[BareCopy]:
    """A bare copy of a release."""
    with make_stage("embedded", ADMIN_TOKEN=TOKEN) as stage:
        paths.prepare(paths.of(stage.environment))
        with bare_copy.opened(stage.environment, RUN, release) as copy:
            yield copy
