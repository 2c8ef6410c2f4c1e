"""Filesystems for one test: a small one, a read-only one, and one other than the disk's.

Mounts exist only for the command that runs among them and its children, and disappear with them.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")


@contextmanager
def in_memory() -> Iterator[Path]:
    """Create a folder in memory, so on another filesystem than the disk's."""
    with tempfile.TemporaryDirectory(prefix="gaia-test-", dir=SHARED_MEMORY) as name:
        Path(name).chmod(0o711)
        yield Path(name)


def among(*mounts: str, command: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command line that runs `command` after the shell commands `mounts`, in its own mount namespace."""
    return (*private(), "sh", "-ec", "; ".join((*mounts, 'exec "$@"')), "sh", *command)


def small(folder: Path, kilobytes: int) -> str:
    """Return the shell command that mounts a filesystem of this size at `folder`."""
    return f"mount -t tmpfs -o size={kilobytes}k tmpfs '{folder}'"


def read_only(folder: Path) -> str:
    """Return the shell command after which nothing can be written below `folder`."""
    return f"mount --bind '{folder}' '{folder}'; mount -o remount,bind,ro '{folder}'"


def private() -> tuple[str, ...]:
    """Return the command that runs a program in its own mount namespace: as root, or as root of a user namespace."""
    for way in (("unshare", "--mount"), ("unshare", "--user", "--map-root-user", "--mount")):
        if _can_mount(way):
            return way
    raise AssertionError("no mounts can be made here: run the tests as root, or where user namespaces are allowed")


def _can_mount(way: tuple[str, ...]) -> bool:
    probe = (*way, "mount", "-t", "tmpfs", "tmpfs", str(SHARED_MEMORY))
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0
