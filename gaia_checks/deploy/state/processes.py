"""Processes by pid and birth, so that a reused pid is never mistaken for ours."""

import contextlib
import os
import signal
import time
from pathlib import Path

import psutil

from gaia_checks import process_identity

TERM_S = 10.0
"""How long a server may take to finish its requests after SIGTERM."""

_POLL_S = 0.02


def alive(pid: int, birth: str) -> bool:
    """Whether the process of that birth still runs; one that ended but was not waited for does not."""
    return process_identity.find(pid, birth) is not None


def lives(pid: int) -> bool:
    """Whether a process has this pid; one that ended but was not waited for does not count."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def within(folder: Path) -> list[int]:
    """Return the processes that work in `folder`, as far as we may see."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.cwd() == str(folder):
                found.append(process.pid)
    return found


def end(pid: int, birth: str) -> None:
    """Ask the process to end, kill it after `TERM_S`, and return when it is gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not alive(pid, birth):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        await_end(pid, birth)


def marked(name: str, folder: Path) -> list[tuple[int, str]]:
    """Return (pid, birth) of every process of ours whose variable `name` is a path below `folder`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if Path(process.environ().get(name, "/")).is_relative_to(folder):
                found.append((process.pid, process_identity.birth(process.pid)))
    return found


def variables(pid: int) -> dict[str, str]:
    """Return the variables that process `pid` was started with; empty when it is gone or not ours."""
    try:
        return dict(psutil.Process(pid).environ())
    except (psutil.Error, OSError):
        return {}


def listener(port: int) -> str:
    """Return who listens on TCP `port`, as `python3 (pid 123)`; without the right to see that, `another process`."""
    with contextlib.suppress(psutil.Error):
        if pid := listener_pid(port):
            return f"{psutil.Process(pid).name()} (pid {pid})"
    return "another process"


def listener_pid(port: int) -> int | None:
    """Return the process that listens on TCP `port`, None when nobody does or we may not know."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and getattr(connection.laddr, "port", None) == port
            if listens and connection.pid:
                return connection.pid
    return None


def await_end(pid: int, birth: str) -> None:
    """Wait for at most `TERM_S`. Not by psutil's wait: it waits on until a slow parent has taken note."""
    deadline = time.monotonic() + TERM_S
    while alive(pid, birth) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
