"""Digests and locks of files, durable writes, and files replaced as a whole: a reader gets the old content or the new.

A rename is atomic within one filesystem only, and folders (reports, temporary files, releases) may lie on several. So
a draft is always written beside the file that it becomes.
"""

import contextlib
import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import IO, Any


def sha256(path: Path) -> str:
    """Return the sha256 of a file, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_disk(path: Path) -> None:
    """Return when what was written to a file or a folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, content: str, *, durable: bool = False, mode: int = 0o666) -> None:
    """Replace the content of `path` atomically. Raises OSError, and leaves no draft then.

    With `durable` the new content is on the disk when this returns. The umask narrows `mode`. Several processes may
    replace the same file: the last one wins.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(descriptor)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    if durable:
        with contextlib.suppress(OSError):  # not every filesystem can sync a folder
            to_disk(path.parent)


def replace_json(path: Path, value: Any) -> None:
    """Replace the content of `path` by `value` as JSON, atomically."""
    replace(path, json.dumps(value, ensure_ascii=False))


def lock(file: int | IO[str]) -> None:
    """Lock an open file or descriptor; return when no other process has locked it. A lock ends with its process."""
    fcntl.flock(file, fcntl.LOCK_EX)


def try_lock(file: int | IO[str]) -> bool:
    """Lock an open file or descriptor; False, at once, when another process has locked it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
