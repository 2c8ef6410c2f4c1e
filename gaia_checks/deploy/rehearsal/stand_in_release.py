"""A stand-in for a previous release: the same code with other bytes, so that the two are distinguishable."""

import shutil
import tempfile
import zipfile
from pathlib import Path

from gaia_checks.deploy.release import release_folder
from gaia_checks.errors import ArtifactError

_COMMENT = b"a stand-in for a previous release"


def make(release: Path, releases: Path) -> Path:
    """Make a stand-in for `release` in the folder `releases`; return its folder.

    Its executable differs only in the zip comment. Raises ArtifactError when the executable is no zip archive.
    """
    executable = release / "gaia_server"
    if not zipfile.is_zipfile(executable):
        raise ArtifactError(
            f"{executable}: not a Python zip archive, so a stand-in release is impossible; deploy two releases"
        )
    with tempfile.TemporaryDirectory() as name:
        stand_in = Path(name) / "gaia_server"
        shutil.copyfile(executable, stand_in)
        with zipfile.ZipFile(stand_in, "a") as archive:
            archive.comment = _COMMENT
        return release_folder.from_worktree(
            releases,
            executable=stand_in,
            migrations=release / "migrations",
            handover=release_folder.takes_sockets(release),
        )
