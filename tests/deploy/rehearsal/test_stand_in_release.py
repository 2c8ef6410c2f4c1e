"""A twin is another release of the same code."""

import subprocess
import sys
from pathlib import Path

from gaia_checks.deploy.rehearsal import stand_in_release
from gaia_checks.deploy.release import release_folder


def test_a_twin_runs_the_same_code_from_other_bytes(executable: Path, tmp_path: Path) -> None:
    """It is a release of its own with the same migrations, and says the same of itself."""
    release = release_folder.from_worktree(tmp_path, executable=executable)
    made = stand_in_release.make(release, tmp_path)
    one, other = release_folder.read(release), release_folder.read(made)
    assert (one.migrations, one.sha256 == other.sha256) == (other.migrations, False)
    assert [version(folder / "gaia_server") for folder in (release, made)] == [version(executable)] * 2
    assert stand_in_release.make(release, tmp_path) == made
    for folder in (release, made):
        release_folder.remove(folder)


def version(executable: Path) -> str:
    """What an executable says of itself."""
    done = subprocess.run((sys.executable, executable, "--version"), capture_output=True, text=True, check=True)
    return done.stdout
