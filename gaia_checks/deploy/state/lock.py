"""One command at a time per environment, under a lock that says who holds it, since when, with what and why."""

import contextlib
import fcntl
import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gaia_checks import __version__
from gaia_checks.errors import Busy


@contextmanager
def hold(path: Path, *, environment: str, why: str, since: str) -> Iterator[None]:
    """Hold the lock file for as long as the block runs; the kernel frees it when we are killed.

    Raises Busy, naming the holder, when another command holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"{environment}: busy: {_holder(path)}; wait until it is done, then run again") from None
        holder = {"pid": os.getpid(), "who": who(), "since": since, "version": __version__, "why": why}
        os.ftruncate(descriptor, 0)
        with contextlib.suppress(OSError):  # on a full disk nobody learns who we are, but the lock is ours
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def who() -> str:
    """Return the person or account we run for, as `name@host`."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container with a bare uid
        name = str(os.geteuid())
    return f"{name}@{socket.gethostname()}"


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text())
        return "{why} by {who} (pid {pid}) since {since}, gaia {version}".format(**holder)
    except (OSError, ValueError, KeyError):
        return "another command holds the lock"
