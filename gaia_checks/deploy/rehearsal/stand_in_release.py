"""A stand-in for a previous release: the same code in other bytes, so that the two can be told apart."""

import shutil
import tempfile
import zipfile
from pathlib import Path

from gaia_checks.deploy.release import release_folder
from gaia_checks.errors import ArtifactError

_COMMENT = b"a twin, to be gone back to"


def make(release: Path, releases: Path) -> Path:
    """Make a twin of `release` in the folder `releases`; return its folder.

    Its executable differs by the comment of its zip archive alone. Raises ArtifactError when it is none.
    """
    executable = release / "gaia_server"
    if not zipfile.is_zipfile(executable):
        raise ArtifactError(
            f"{executable}: not a Python zip archive, so no twin of it can be made; deploy two releases"
        )
    with tempfile.TemporaryDirectory() as name:
        twin = Path(name) / "gaia_server"
        shutil.copyfile(executable, twin)
        with zipfile.ZipFile(twin, "a") as archive:
            archive.comment = _COMMENT
        return release_folder.from_worktree(
            releases,
            executable=twin,
            migrations=release / "migrations",
            handover=release_folder.takes_sockets(release),
        )
