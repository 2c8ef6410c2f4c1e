"""One command at a time per environment: a lock file that names its holder, start, version and purpose."""

import contextlib
import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gaia_checks import __version__, file_lock
from gaia_checks.errors import Busy


@contextmanager
def hold(path: Path, *, environment: str, why: str, since: str) -> Iterator[None]:
    """Lock the file while the block runs; the kernel releases it when the process is killed.

    Raises Busy, naming the holder, when another command has locked it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not file_lock.acquire(descriptor):
            raise Busy(f"{environment}: busy: {_holder(path)}; wait until it is done, then run again")
        holder = {"pid": os.getpid(), "who": who(), "since": since, "version": __version__, "why": why}
        os.ftruncate(descriptor, 0)
        with contextlib.suppress(OSError):  # on a full disk the holder stays unnamed; the lock is valid
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def who() -> str:
    """Return the account of this process as `name@host`."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's uid without an account
        name = str(os.geteuid())
    return f"{name}@{socket.gethostname()}"


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text())
        return "{why} by {who} (pid {pid}) since {since}, gaia {version}".format(**holder)
    except (OSError, ValueError, KeyError):
        return "another command holds the lock"
