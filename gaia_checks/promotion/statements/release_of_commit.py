"""What a commit is a release of: its executable's sha256 and its migrations' checksums, from git alone."""

import hashlib
import re
import tempfile
from pathlib import Path

from gaia_checks.deploy.git.git_remote import GitRemote
from gaia_checks.deploy.migrations import migration_files
from gaia_checks.errors import MigrationError, NotPromoted
from gaia_checks.model import Release

_EXECUTABLE = "build/gaia_server"


def read(remote: GitRemote, commit: str, phase: str, *, by_digest: bool) -> Release:
    """Return the release of `commit`, as last fetched. Raises NotPromoted naming what the commit lacks.

    `by_digest`: the executable is elsewhere, and the commit contains its sha256.
    """
    try:
        migrations = _migrations(remote, commit)
    except MigrationError as error:
        raise NotPromoted(f"{commit[:12]}: {error}") from error
    return Release(phase, commit, _executable(remote, commit, by_digest=by_digest), migrations)


def _executable(remote: GitRemote, commit: str, *, by_digest: bool) -> str:
    name = f"{_EXECUTABLE}.sha256" if by_digest else _EXECUTABLE
    content = next(remote.blobs([f"{commit}:{name}"]))
    if content is None:
        raise NotPromoted(f"{commit[:12]} has no {name}: it is no release")
    if not by_digest:
        return hashlib.sha256(content).hexdigest()
    words = content.decode(errors="replace").split()
    if not words or not re.fullmatch(r"[0-9a-f]{64}", words[0]):
        raise NotPromoted(f"{commit[:12]}: {name} does not start with a sha256")
    return words[0]


def _migrations(remote: GitRemote, commit: str) -> dict[str, str]:
    """Return version -> checksum, in the order of application."""
    listed = remote.read("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit, "--", "migrations/")
    names = [name for name in listed.split("\0") if name.isprintable() and ".." not in name.split("/") and name]
    with tempfile.TemporaryDirectory(prefix="gaia-migrations-") as folder:
        for name, content in zip(names, remote.blobs([f"{commit}:{name}" for name in names]), strict=True):
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content or b"")
        return {one.version: one.checksum for one in migration_files.read(Path(folder, "migrations"))}
