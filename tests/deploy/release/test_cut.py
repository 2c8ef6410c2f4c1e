"""`gaia release` in a clone of this project: a commit, a tag, and what is refused."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gaia_checks.environment.project import ROOT
from gaia_checks.files import sha256

ENVIRONMENT = '[environment]\nstage = "dev"\ndatabase = "embedded"\nhost = "127.0.0.1"\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A clone of this project, with what its build has already installed."""
    folder = tmp_path / "project"
    subprocess.run(("git", "clone", "--quiet", str(ROOT), str(folder)), check=True)
    for cached in (ROOT / "build").glob(".dependencies-*"):
        shutil.copytree(cached, folder / "build" / cached.name)
    git(folder, "config", "user.name", "ada")
    git(folder, "config", "user.email", "ada@example.test")
    return folder


def git(folder: Path, *words: str) -> str:
    """Run git in a folder; return what it wrote."""
    return subprocess.run(("git", *words), cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def release(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `gaia release` in a folder."""
    command = (sys.executable, "-m", "gaia_checks.cli", "release", *words)
    home = {"GAIA_HOME": str(folder.parent / "home"), "GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.run(command, cwd=folder, env=os.environ | home, capture_output=True, text=True, check=False)


def test_the_tag_is_on_a_commit_with_the_executable(project: Path) -> None:
    """The commit contains the bytes that were built; a second release of the same sources needs no second commit."""
    done = release(project, "phase-1")
    assert done.returncode == 0, done.stderr
    assert "git push origin HEAD:develop deploy/dev/phase-1" in done.stdout
    assert git(project, "cat-file", "-t", "deploy/dev/phase-1") == "tag"
    committed = subprocess.run(
        ("git", "show", "deploy/dev/phase-1:build/gaia_server"), cwd=project, check=True, capture_output=True
    ).stdout
    assert committed == (project / "build" / "gaia_server").read_bytes()
    assert release(project, "phase-2").returncode == 0
    assert git(project, "rev-parse", "deploy/dev/phase-1^{}") == git(project, "rev-parse", "deploy/dev/phase-2^{}")
    again = release(project, "phase-1")
    assert (again.returncode, "exists already" in again.stderr) == (1, True), again.stderr


def test_uncommitted_and_new_files_are_refused(project: Path) -> None:
    """Nothing is built, committed or tagged that no commit contains."""
    (project / "gaia_server" / "extra.py").write_text("")
    (project / "README.md").write_text("changed")
    done = release(project, "phase-1")
    assert done.returncode == 1
    assert "README.md, gaia_server/extra.py" in done.stderr
    assert git(project, "tag", "--list", "deploy/*") == git(ROOT, "tag", "--list", "deploy/*")


def test_with_an_artifact_the_commit_holds_the_digest(project: Path, tmp_path: Path) -> None:
    """The executable is copied to the location of the environment file, and the commit names its sha256."""
    store = tmp_path / "store"
    file = project / "environments" / "dev.toml"
    file.write_text(f'{ENVIRONMENT}[server]\nartifact = "{store}/{{phase}}/{{sha256}}"\n')
    git(project, "commit", "--quiet", "--all", "--message", "Keep executables elsewhere")
    done = release(project, "phase-1")
    assert done.returncode == 0, done.stderr
    digest = git(project, "show", "deploy/dev/phase-1:build/gaia_server.sha256").split()[0]
    assert sha256(store / "phase-1" / digest) == digest
    assert "build/gaia_server\n" not in git(project, "ls-tree", "-r", "--name-only", "deploy/dev/phase-1")


@pytest.mark.parametrize("phase", ["worktree", "a b", "..", "-x/y"])
def test_a_phase_that_no_tag_can_have_is_refused(project: Path, phase: str) -> None:
    """One line says what to write, before anything is built."""
    done = release(project, "--", phase)
    assert (done.returncode, len(done.stderr.splitlines())) == (4, 1)
    assert not (project / "build" / "gaia_server").exists()
