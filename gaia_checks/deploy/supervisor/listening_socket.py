"""The public socket of a server that an earlier supervisor started: taken from its process where the system allows it.

Linux copies a descriptor between processes of one account (`pidfd_getfd`), unless ptrace is restricted.
"""

import ctypes
import os
import socket
import sys

import psutil

from gaia_checks.deploy.state.supervisor_state import SupervisorState

KEPT = (
    "the running server was adopted after its supervisor had died, and this system does not let another process take "
    "its socket, so it stops before the next one starts; deploy at a quiet time, or first allow it: "
    "sysctl kernel.yama.ptrace_scope=0 (in a container: the capability SYS_PTRACE)"
)
"""Why the next swap is not a hand-over, and what to do about it."""

_PUBLIC_FD = 3  # where `spawn` puts it
_PIDFD_GETFD = 438  # the system call, for which Python has no function


def take(pid: int, port: int) -> socket.socket | None:
    """Return a copy of the socket on which `pid` listens at `port`, None where the system or the process has none."""
    if sys.platform != "linux":
        return None
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        copy = int(ctypes.CDLL(None).syscall(_PIDFD_GETFD, process, _PUBLIC_FD, 0))
    finally:
        os.close(process)
    return _listening(copy, port) if copy >= 0 else None


def kept(recorded: SupervisorState) -> bool:
    """Whether the server takes sockets, but its own cannot be passed on: its supervisor has died and it keeps it."""
    if not (recorded.handover and recorded.server and recorded.server.alive and recorded.port):
        return False
    try:
        if psutil.Process(recorded.server.pid).ppid() == recorded.supervisor.pid:
            return False
    except psutil.Error:
        return False
    copy = take(recorded.server.pid, recorded.port)
    if copy:
        copy.close()
    return copy is None


def _listening(descriptor: int, port: int) -> socket.socket | None:
    """Return the socket; None, and close it, when the process has put another file there."""
    try:
        found = socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        return None
    listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if listens and found.family in (socket.AF_INET, socket.AF_INET6) and found.getsockname()[1] == port:
        return found
    found.close()
    return None
