"""Reads files of a commit from git's objects: the committed bytes, without the conversions of a checkout or archive."""

import os
from collections.abc import Iterator
from pathlib import PurePosixPath

from gaia_checks.deploy.git.git_command import git
from gaia_checks.errors import ArtifactError

_REGULAR = (b"100644", b"100755", b"100664")  # the last one in old repositories only
_LFS_POINTER = b"version https://git-lfs."


def read(commit: str, path: str, *, name: object, why: str) -> bytes:
    """Return a file's content. Raises ArtifactError, whose message starts with `why`, else with the commit's `name`."""
    return _content(f"{commit}:{path}", f"{name}: {path}", why)


def below(commit: str, folder: str, *, name: object) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield path and content of every file below `folder`; none without the folder.

    Raises ArtifactError for a symbolic link or another repository's commit: its content is not in this commit.
    """
    listed = git("ls-tree", "-r", "-z", "--full-tree", commit, "--", f"{folder}/", why=str(name))
    for entry in listed.split(b"\0")[:-1]:
        described, _, encoded = entry.partition(b"\t")
        mode, _, digest = described.split()
        path = os.fsdecode(encoded)
        if mode not in _REGULAR:
            raise ArtifactError(
                f"{name}: {path}: not a regular file, but a link or another repository; commit the file itself"
            )
        yield PurePosixPath(path), _content(digest.decode(), f"{name}: {path}", f"{name}: {path}")


def _content(blob: str, what: str, why: str) -> bytes:
    content = git("cat-file", "blob", blob, why=why)
    if content.startswith(_LFS_POINTER):
        raise ArtifactError(f"{what}: a pointer of Git LFS; commit the file itself")
    return content
