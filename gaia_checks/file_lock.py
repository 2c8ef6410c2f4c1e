"""Locks on open files, which the kernel releases when their process ends: the only module that calls flock."""

import fcntl
from typing import IO


def wait(file: int | IO[str]) -> None:
    """Lock an open file, given as such or as its descriptor; return when no other process has locked it."""
    fcntl.flock(file, fcntl.LOCK_EX)


def acquire(file: int | IO[str]) -> bool:
    """Lock an open file, given as such or as its descriptor; False, at once, when another process has locked it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
