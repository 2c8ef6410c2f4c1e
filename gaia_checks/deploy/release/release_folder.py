"""Releases: an executable with its migrations, taken from a tag or the working tree into a read-only folder.

    releases/<environment>/<phase>-<12 hex digits>/gaia_server
                                                   migrations/
                                                   release.json

The digits are of sha256 over all that a release is, so that two never share a folder.
"""

import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gaia_checks.deploy.git import tag
from gaia_checks.deploy.git.git_command import commit_of, git, head, variables_without_secrets
from gaia_checks.deploy.migrations import migration_files
from gaia_checks.deploy.release import download
from gaia_checks.environment import ROOT
from gaia_checks.errors import ArtifactError, MissingDependency
from gaia_checks.files import sha256, to_disk
from gaia_checks.model import Release

_EXECUTABLE = "gaia_server"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a release comes from."""

    phase: str
    commit: str | None


def from_worktree(
    releases: Path, *, executable: Path | None = None, migrations: Path | None = None, handover: bool = True
) -> Path:
    """Make a release of the working tree, built first, or of the given parts; return its folder.

    `handover` says whether the executable takes its sockets by LISTEN_FDS; the release remembers it.
    Raises ArtifactError or MigrationError; nothing half-made stays.
    """
    source = executable or _built()
    if not source.is_file():
        raise ArtifactError(f"{source}: there is no such executable; build it first: make build")
    with _new(releases) as new:
        shutil.copyfile(source, new / _EXECUTABLE)
        if sha256(source) != sha256(new / _EXECUTABLE):
            raise ArtifactError(f"{source}: changed while it was copied; wait until its build is done, then run again")
        _copy_migrations(migrations or ROOT / "migrations", new / "migrations")
        return _finish(new, releases, Origin(tag.WORKTREE, head()), handover=handover)


def from_tag(releases: Path, wanted: tag.Tag, *, template: str | None = None, handover: bool = True) -> Path:
    """Make a release of what `wanted` tags; return its folder. Raises ArtifactError.

    Everything is read from the commit that the tag names now, wherever the tag goes meanwhile. With `template`,
    the executable is where that says, and must have the sha256 that the commit holds.
    """
    commit = commit_of(str(wanted))
    if commit is None:
        raise ArtifactError(f"{wanted}: there is no such tag here; fetch it (git fetch --tags) or cut it")
    with _new(releases) as new:
        if template:
            named = git("show", f"{commit}:build/{_EXECUTABLE}.sha256", why=f"{wanted} names no digest")
            download.fetch(
                template, new / _EXECUTABLE, phase=wanted.phase, commit=commit, sha256=_digest(named, wanted)
            )
        else:
            content = git("show", f"{commit}:build/{_EXECUTABLE}", why=f"{wanted} has no executable")
            (new / _EXECUTABLE).write_bytes(content)
        archive = git("archive", "--format=tar", commit, "migrations", why=f"{wanted} has no migrations")
        _extract_migrations(archive, new)
        return _finish(new, releases, Origin(wanted.phase, commit), handover=handover)


def read(folder: Path) -> Release:
    """Read the release in `folder` and hold it against its files. Raises ArtifactError when they differ."""
    release = describe(folder)
    if sha256(folder / _EXECUTABLE) != release.sha256:
        raise ArtifactError(
            f"{folder}: {_EXECUTABLE} is not the one that was released; remove the folder, deploy again"
        )
    return release


def describe(folder: Path) -> Release:
    """Read what `release.json` says. Raises ArtifactError when there is none."""
    try:
        found: dict[str, Any] = json.loads((folder / "release.json").read_text())
        return Release(found["phase"], found["commit"], found["sha256"], found["migrations"])
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"{folder}: no release ({error}); remove the folder and deploy again") from error


def takes_sockets(folder: Path) -> bool:
    """Whether the release's executable takes its sockets by LISTEN_FDS. Raises ArtifactError as `describe` does."""
    describe(folder)
    return bool(json.loads((folder / "release.json").read_text())["handover"])


def sweep(releases: Path) -> None:
    """Remove what a killed deployment left half-made."""
    for left in releases.glob(".new-*"):
        remove(left)


def remove(folder: Path) -> None:
    """Remove a folder, whatever in it is closed for writing. None there is fine."""
    if folder.exists():
        for path in (folder, *folder.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)
        shutil.rmtree(folder)


@contextmanager
def _new(releases: Path) -> Iterator[Path]:
    """Give an empty folder in which a release is made; what is not renamed is removed."""
    new = Path(tempfile.mkdtemp(dir=releases, prefix=".new-"))
    try:
        yield new
    finally:
        remove(new)


def _finish(new: Path, releases: Path, origin: Origin, *, handover: bool) -> Path:
    """Describe the release, close it for writing, and give it its name by one rename."""
    migrations = {one.version: one.checksum for one in migration_files.read(new / "migrations")}
    digest = sha256(new / _EXECUTABLE)
    identity = hashlib.sha256(json.dumps([digest, migrations, origin.commit, handover]).encode()).hexdigest()[:12]
    folder = releases / f"{origin.phase}-{identity}"
    if folder.exists() and _whole(folder):
        return folder
    described = {**asdict(origin), "sha256": digest, "migrations": migrations, "handover": handover}
    (new / "release.json").write_text(json.dumps(described, indent=2) + "\n")
    if folder.exists():
        folder.rename(releases / f".new-damaged-{identity}")
    _close(new)
    for path in (*new.rglob("*"), new):
        to_disk(path)  # before it has its name: a power cut leaves a whole release or none
    new.rename(folder)
    folder.chmod(0o555)
    to_disk(releases)
    return folder


def _whole(folder: Path) -> bool:
    try:
        read(folder)
    except (ArtifactError, OSError):
        return False
    return True


def _close(folder: Path) -> None:
    for path in folder.rglob("*"):
        path.chmod(0o555 if path.is_dir() or path.name == _EXECUTABLE else 0o444)


def _copy_migrations(source: Path, target: Path) -> None:
    for one in migration_files.read(source):
        for relative in (Path(f"{one.version}.sql"), Path("rollback") / f"{one.version}.sql"):
            if (source / relative).exists():
                (target / relative).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / relative, target / relative)
    target.mkdir(exist_ok=True)
    shutil.copyfile(source / "order.txt", target / "order.txt")


def _extract_migrations(archive: bytes, new: Path) -> None:
    """Write the archive's SQL files and order.txt; whatever else it holds, links above all, stays out."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            path = Path(member.name)
            wanted = path.suffix == ".sql" or path.name == "order.txt"
            source = files.extractfile(member) if member.isfile() and wanted and ".." not in path.parts else None
            if source:
                (new / path).parent.mkdir(parents=True, exist_ok=True)
                (new / path).write_bytes(source.read())


def _built() -> Path:
    """Build the executable from the working tree, unless it is newer than its sources."""
    try:
        done = subprocess.run(
            ("make", "--silent", "build"),
            cwd=ROOT,
            env=variables_without_secrets(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise MissingDependency("make is not installed; install it, e.g. apt-get install make") from error
    if done.returncode:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise ArtifactError(f"make build failed: {said[-1] if said else f'exit code {done.returncode}'}")
    return ROOT / "build" / _EXECUTABLE


def _digest(named: bytes, wanted: tag.Tag) -> str:
    """Return the digest that a file of the form of sha256sum's begins with."""
    words = named.decode(errors="replace").split()
    if not words or not re.fullmatch(r"[0-9a-f]{64}", words[0]):
        raise ArtifactError(
            f"{wanted}: build/{_EXECUTABLE}.sha256 does not begin with a sha256; "
            f"commit what this prints: sha256sum {_EXECUTABLE}"
        )
    return words[0]
