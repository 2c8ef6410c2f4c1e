"""The clock, set while things run, as NTP or the resuming of a virtual machine does."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from gaia_checks import jsonl
from gaia_checks.model import timestamp


def step(monkeypatch: pytest.MonkeyPatch, by_s: float = 2.0) -> None:
    """Let the boot time be told so much later; only Linux counts from it when a process began."""
    told_s = psutil.boot_time()
    if psutil.LINUX:
        monkeypatch.setattr("psutil._pslinux.boot_time", lambda: told_s + by_s)


@contextmanager
def wrong_by(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> Iterator[None]:
    """Let what the block writes be dated by a clock that is ahead by so much, or behind where it is negative."""
    with monkeypatch.context() as patch:
        patch.setattr(jsonl, "now", lambda: timestamp(datetime.now(UTC) + by))
        yield
