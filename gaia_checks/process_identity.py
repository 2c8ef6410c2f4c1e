"""Which process it is: by pid and birth, so that a reused pid is never mistaken for it.

A birth is not a time of day: psutil counts that from the boot time, which moves whenever the clock is set.
"""

from pathlib import Path

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_START_TICKS = 19  # among the fields behind the name: when it started, in clock ticks since the boot


def birth(pid: int) -> str:
    """Return what no other process of this pid has, and no clock moves. Raises psutil.NoSuchProcess.

    On Linux it is the boot and the ticks since then; elsewhere the moment that the kernel has noted.
    """
    if not psutil.LINUX:
        return str(psutil.Process(pid).create_time())
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    ticks = stat.rpartition(b")")[2].split()[_START_TICKS].decode()  # the name may contain spaces and brackets
    return f"{_boot()}+{ticks}"


def find(pid: int, born: str) -> psutil.Process | None:
    """Return the running process of that pid and birth; None when it is gone, or exited and not yet waited for."""
    try:
        found = psutil.Process(pid)
        return found if birth(pid) == born and found.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def _boot() -> str:
    """Return which boot this is; empty where a container does not let us see it."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
