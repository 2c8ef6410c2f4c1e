"""Processes identified by pid and birth, so that a reused pid is never mistaken for another process."""

import contextlib
import os
import signal
import time
from pathlib import Path

import psutil

from gaia_checks import process_identity

DRAIN_S = 10.0
"""The drain time: seconds a server may take to finish its requests after SIGTERM, before SIGKILL."""

_POLL_S = 0.02


def alive(pid: int, birth: str) -> bool:
    """Whether the process with this birth runs; a zombie does not."""
    return process_identity.find(pid, birth) is not None


def pid_runs(pid: int) -> bool:
    """Whether a running process has this pid; a zombie does not count."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def working_in(folder: Path) -> list[int]:
    """Return the pids of observable processes whose working directory is `folder`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.cwd() == str(folder):
                found.append(process.pid)
    return found


def end(pid: int, birth: str) -> None:
    """Send SIGTERM, after `DRAIN_S` SIGKILL, and return when the process has exited."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not alive(pid, birth):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        wait_for_exit(pid, birth)


def marked(name: str, folder: Path) -> list[tuple[int, str]]:
    """Return (pid, birth) of every readable process whose variable `name` is a path below `folder`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if Path(process.environ().get(name, "/")).is_relative_to(folder):
                found.append((process.pid, process_identity.birth(process.pid)))
    return found


def variables(pid: int) -> dict[str, str]:
    """Return the initial environment of process `pid`; empty when it has exited or is not readable."""
    try:
        return dict(psutil.Process(pid).environ())
    except (psutil.Error, OSError):
        return {}


def listener(port: int) -> str:
    """Return the listener on TCP `port` as `python3 (pid 123)`; `another process` where it is unobservable."""
    with contextlib.suppress(psutil.Error):
        if pid := listener_pid(port):
            return f"{psutil.Process(pid).name()} (pid {pid})"
    return "another process"


def listener_pid(port: int) -> int | None:
    """Return the pid that listens on TCP `port`, None when there is none or it is unobservable."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and getattr(connection.laddr, "port", None) == port
            if listens and connection.pid:
                return connection.pid
    return None


def wait_for_exit(pid: int, birth: str) -> None:
    """Wait at most `DRAIN_S` for the exit. psutil's wait would also wait for a slow parent to reap the process."""
    deadline = time.monotonic() + DRAIN_S
    while alive(pid, birth) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
