"""A stand-in release is another release of the same code."""

import subprocess
import sys
from pathlib import Path

from gaia_checks.deploy.rehearsal import stand_in_release
from gaia_checks.deploy.release import release_folder


def test_a_stand_in_runs_the_same_code_from_other_bytes(executable: Path, tmp_path: Path) -> None:
    """The stand-in has another digest, the same migrations, and reports the same version."""
    release = release_folder.from_worktree(tmp_path, executable=executable)
    stand_in = stand_in_release.make(release, tmp_path)
    one, other = release_folder.read(release), release_folder.read(stand_in)
    assert (one.migrations, one.sha256 == other.sha256) == (other.migrations, False)
    assert [version(folder / "gaia_server") for folder in (release, stand_in)] == [version(executable)] * 2
    assert stand_in_release.make(release, tmp_path) == stand_in
    for folder in (release, stand_in):
        release_folder.remove(folder)


def version(executable: Path) -> str:
    """Return the output of `--version`."""
    done = subprocess.run((sys.executable, executable, "--version"), capture_output=True, text=True, check=True)
    return done.stdout
