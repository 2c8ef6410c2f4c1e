"""Release folders: an executable with its migrations, copied from a tag or the working tree, read-only.

No other account may read it.

    releases/<environment>/<phase>-<12 hex digits>/gaia_server
                                                   migrations/
                                                   release.json

The digits are of a sha256 over the whole content of a release, so two releases never share a folder.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gaia_checks.deploy.git import commit_files, tag
from gaia_checks.deploy.git.git_command import commit_of, head, variables_without_secrets
from gaia_checks.deploy.migrations import migration_files
from gaia_checks.deploy.release import download
from gaia_checks.environment.project import INSTALLED, PROJECT, ROOT
from gaia_checks.errors import ArtifactError, MissingDependency, NotWritable
from gaia_checks.files import sha256, to_disk
from gaia_checks.model import Release

_EXECUTABLE = "gaia_server"


@dataclass(frozen=True, slots=True)
class Origin:
    """The phase and the commit that a release is made from."""

    phase: str
    commit: str | None


def from_worktree(
    releases: Path, *, executable: Path | None = None, migrations: Path | None = None, handover: bool = True
) -> Path:
    """Make a release of the working tree, which is built first, or of the given files; return its folder.

    `handover`: whether the executable takes its sockets by LISTEN_FDS; the release records it.
    Raises ArtifactError or MigrationError; no partial release remains.
    """
    source = executable or _built()
    if not source.is_file():
        raise ArtifactError(f"{source}: executable not found; build it first: make build")
    with _new(releases) as new:
        shutil.copyfile(source, new / _EXECUTABLE)
        if sha256(source) != sha256(new / _EXECUTABLE):
            raise ArtifactError(f"{source}: changed while it was copied; wait for the build to finish, then run again")
        _copy_migrations(migrations or PROJECT / "migrations", new / "migrations")
        return _finish(new, releases, Origin(tag.WORKTREE, head()), handover=handover)


def from_tag(
    releases: Path,
    wanted: tag.Tag,
    *,
    commit: str | None = None,
    template: str | None = None,
    handover: bool = True,
) -> Path:
    """Make a release of the commit that `wanted` tags; return its folder. Raises ArtifactError.

    Everything is read from the commit that the tag names now, even if the tag moves meanwhile. With `template`, the
    executable comes from that location and must have the sha256 that the commit records. With `commit`, the tag must
    be on it.
    """
    found = commit_of(str(wanted))
    if found is None:
        raise ArtifactError(f"{wanted}: tag not found; fetch it (git fetch --tags) or create it")
    if commit not in (None, found):
        raise ArtifactError(
            f"{wanted}: is on {found[:12]} here, on {commit[:12]} on the remote; git fetch --tags --force"
        )
    commit = found
    with _new(releases) as new:
        if template:
            digest_file = _committed(commit, wanted, f"build/{_EXECUTABLE}.sha256", "names no digest")
            download.fetch(
                template, new / _EXECUTABLE, phase=wanted.phase, commit=commit, sha256=_digest(digest_file, wanted)
            )
        else:
            content = _committed(commit, wanted, f"build/{_EXECUTABLE}", "has no executable")
            (new / _EXECUTABLE).write_bytes(content)
        _write_migrations(commit, wanted, new)
        return _finish(new, releases, Origin(wanted.phase, commit), handover=handover)


def read(folder: Path) -> Release:
    """Read the release in `folder` and verify its executable. Raises ArtifactError when the digests differ."""
    release = describe(folder)
    if sha256(folder / _EXECUTABLE) != release.sha256:
        raise ArtifactError(
            f"{folder}: {_EXECUTABLE} is not the one that was released; remove the folder, deploy again"
        )
    return release


def describe(folder: Path) -> Release:
    """Read `release.json`. Raises ArtifactError when it is missing or invalid."""
    try:
        found: dict[str, Any] = json.loads((folder / "release.json").read_text())
        return Release(found["phase"], found["commit"], found["sha256"], found["migrations"])
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"{folder}: not a release ({error}); remove the folder and deploy again") from error


def takes_sockets(folder: Path) -> bool:
    """Whether the release's executable takes its sockets by LISTEN_FDS. Raises ArtifactError as `describe` does."""
    describe(folder)
    return bool(json.loads((folder / "release.json").read_text())["handover"])


def sweep(releases: Path) -> None:
    """Remove the partial releases of killed deployments."""
    for partial in releases.glob(".new-*"):
        remove(partial)


def remove(folder: Path) -> None:
    """Remove a folder, including read-only content, or a link, but nothing behind it. A missing folder is no error."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        for path in (folder, *folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(folder)


@contextmanager
def _new(releases: Path) -> Iterator[Path]:
    """Yield an empty folder for a new release; remove it unless it was renamed."""
    new = Path(tempfile.mkdtemp(dir=releases, prefix=".new-"))
    try:
        yield new
    finally:
        remove(new)


def _finish(new: Path, releases: Path, origin: Origin, *, handover: bool) -> Path:
    """Write `release.json`, make the folder read-only, and publish it by one atomic rename."""
    migrations = {one.version: one.checksum for one in migration_files.read(new / "migrations")}
    digest = sha256(new / _EXECUTABLE)
    identity = hashlib.sha256(json.dumps([digest, migrations, origin.commit, handover]).encode()).hexdigest()[:12]
    folder = releases / f"{origin.phase}-{identity}"
    if folder.exists() and not folder.is_symlink() and _intact(folder):
        return folder
    description = {**asdict(origin), "sha256": digest, "migrations": migrations, "handover": handover}
    (new / "release.json").write_text(json.dumps(description, indent=2) + "\n")
    if folder.exists() or folder.is_symlink():
        folder.rename(releases / f".new-damaged-{identity}")
    _make_read_only(new)
    for path in (*new.rglob("*"), new):
        to_disk(path)  # before the rename: a power cut leaves a complete release or none
    new.rename(folder)
    folder.chmod(0o500)
    to_disk(releases)
    return folder


def _intact(folder: Path) -> bool:
    try:
        read(folder)
    except (ArtifactError, OSError):
        return False
    return True


def _make_read_only(folder: Path) -> None:
    for path in folder.rglob("*"):
        path.chmod(0o500 if path.is_dir() or path.name == _EXECUTABLE else 0o400)


def _copy_migrations(source: Path, target: Path) -> None:
    for one in migration_files.read(source):
        for relative in (Path(f"{one.version}.sql"), Path("rollback") / f"{one.version}.sql"):
            if (source / relative).exists():
                (target / relative).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / relative, target / relative)
    target.mkdir(exist_ok=True)
    if not migration_files.natural(source):
        shutil.copyfile(source / "order.txt", target / "order.txt")


def _committed(commit: str, wanted: tag.Tag, path: str, lacks: str) -> bytes:
    return commit_files.read(commit, path, name=wanted, why=f"{wanted} {lacks}")


def _write_migrations(commit: str, wanted: tag.Tag, new: Path) -> None:
    """Write the commit's SQL files and order.txt; skip everything else."""
    for path, content in commit_files.below(commit, "migrations", name=wanted):
        is_sql = path.suffix == ".sql" and str(path.parent) in ("migrations", "migrations/rollback")
        if is_sql or str(path) == "migrations/order.txt":
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            (new / path).write_bytes(content)
    here = new / "migrations"
    if not (here / "order.txt").exists() and not migration_files.natural(here):
        raise ArtifactError(f"{wanted} has no migrations; commit migrations/order.txt")


def _built() -> Path:
    """Run `make build`, which rebuilds the executable unless it is newer than its sources; return its path.

    Raises NotWritable if it must be built in a checkout that cannot be written, ArtifactError if the build fails, or
    there is nothing to build.
    """
    if INSTALLED:
        raise ArtifactError("gaia-checks was installed without a server to build; deploy a tag: gaia deploy ENV PHASE")
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
    folder = ROOT / "build"
    if done.returncode and not os.access(folder if folder.exists() else ROOT, os.W_OK):
        raise NotWritable(
            f"{folder}: cannot be written, and its executable is missing or older than its sources; "
            "run `make build` where the checkout can be written"
        )
    if done.returncode:
        output = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise ArtifactError(f"make build failed: {output[-1] if output else f'exit code {done.returncode}'}")
    return folder / _EXECUTABLE


def _digest(digest_file: bytes, wanted: tag.Tag) -> str:
    """Return the digest at the start of a file in the format of sha256sum."""
    words = digest_file.decode(errors="replace").split()
    if not words or not re.fullmatch(r"[0-9a-f]{64}", words[0]):
        raise ArtifactError(
            f"{wanted}: build/{_EXECUTABLE}.sha256 does not start with a sha256; "
            f"commit the output of: sha256sum {_EXECUTABLE}"
        )
    return words[0]
