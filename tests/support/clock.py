"""The clock, set while things run, as NTP or the resuming of a virtual machine does."""

import psutil
import pytest


def step(monkeypatch: pytest.MonkeyPatch, by_s: float = 2.0) -> None:
    """Let the boot time be told so much later; only Linux counts from it when a process began."""
    told_s = psutil.boot_time()
    if psutil.LINUX:
        monkeypatch.setattr("psutil._pslinux.boot_time", lambda: told_s + by_s)
