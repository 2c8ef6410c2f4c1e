"""The build of the executable is reproducible."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaia_checks.deploy.release.build import NAME, archive_command, build, install_command
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import ArtifactError


@pytest.fixture
def umask() -> Iterator[None]:
    """Restore the umask after the test."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_same_sources_same_bytes(tmp_path: Path, executable: Path) -> None:
    """Another folder, time and umask, and touched files, give the same bytes as `make build`."""
    os.umask(0o077)
    sources = tmp_path / "elsewhere"
    shutil.copytree(ROOT / NAME, sources / NAME, copy_function=shutil.copyfile)
    (sources / NAME / "__pycache__").mkdir(exist_ok=True)
    (sources / NAME / "__pycache__" / "stale.pyc").write_bytes(b"stale")
    for cached in executable.parent.glob(".dependencies-*"):
        shutil.copytree(cached, tmp_path / "build" / cached.name)
    built = build(sources, folder=tmp_path / "build")
    assert built.read_bytes() == executable.read_bytes()
    assert built.stat().st_mode & 0o777 == 0o755


def test_changed_sources_change_the_executable(tmp_path: Path, executable: Path) -> None:
    """A changed source file changes the executable."""
    shutil.copytree(ROOT / NAME, tmp_path / NAME)
    (tmp_path / NAME / "__init__.py").write_text('__version__ = "0.1.1"\n')
    for cached in executable.parent.glob(".dependencies-*"):
        shutil.copytree(cached, tmp_path / "build" / cached.name)
    built = build(tmp_path)
    assert built.read_bytes() != executable.read_bytes()
    done = subprocess.run(
        (sys.executable, built, "--version"),
        env={"PATH": os.environ["PATH"], "SHIV_ROOT": str(tmp_path / "shiv")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "gaia_server 0.1.1\n"


def test_executable_is_independent_of_the_build_machine(executable: Path) -> None:
    """The executable contains neither a path of the build machine nor compiled code."""
    with zipfile.ZipFile(executable) as archive:
        names = archive.namelist()
        assert not [name for name in names if name.endswith((".pyc", "/RECORD", "/INSTALLER", "/direct_url.json"))]
        server_files = [name for name in names if "/gaia_server/" in name]
        assert "site-packages/gaia_server/dashboard/index.html" in server_files
        assert not [name for name in server_files if "requirements" in name]
        assert not [name for name in names if str(ROOT).encode() in archive.read(name)]


def test_failed_build_keeps_the_existing_executable(tmp_path: Path) -> None:
    """A failed installation raises a one-line error and keeps the existing executable."""
    shutil.copytree(ROOT / NAME, tmp_path / NAME)
    (tmp_path / NAME / "requirements.txt").write_text("nothing-without-a-hash\n")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / NAME).write_text("old")
    with pytest.raises(ArtifactError, match="its dependencies cannot be installed") as caught:
        build(tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "build" / NAME).read_text() == "old"
    assert [path.name for path in (tmp_path / "build").iterdir()] == [NAME]


def test_build_commands() -> None:
    """Dependencies require hashes; shiv builds a reproducible archive whose entry point is the server."""
    assert {"--require-hashes", "--no-compile"} <= set(install_command(Path("r.txt"), Path("t")))
    command = " ".join(archive_command(Path("d"), Path("s")))
    assert "--reproducible" in command
    assert "--entry-point gaia_server.__main__:main" in command
