"""Which process it is, whatever becomes of the clock."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gaia_checks import process_identity
from tests.support import clock


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as sleeper:
        yield sleeper
        sleeper.kill()


def test_a_process_stays_itself_when_the_clock_is_set(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time of day moves then; its birth does not."""
    born, created_s = process_identity.birth(process.pid), psutil.Process(process.pid).create_time()
    clock.step(monkeypatch)
    assert psutil.Process(process.pid).create_time() == created_s + (2 if psutil.LINUX else 0)
    assert process_identity.birth(process.pid) == born
    found = process_identity.find(process.pid, born)
    assert found is not None
    assert found.pid == process.pid


def test_a_stranger_with_the_same_pid_is_not_found(process: subprocess.Popen[bytes]) -> None:
    """Another birth is another process."""
    assert process_identity.find(process.pid, process_identity.birth(psutil.Process().pid)) is None


def test_after_a_reboot_the_same_pid_and_ticks_are_a_stranger(
    process: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small machine starts its services in the same order every time."""
    before = tmp_path / "boot_id"
    before.write_text("the boot before\n")
    with monkeypatch.context() as patched:
        patched.setattr(process_identity, "_BOOT_ID", before)
        born = process_identity.birth(process.pid)
    assert (process_identity.find(process.pid, born) is None) == psutil.LINUX


def test_a_process_that_ended_is_not_found(process: subprocess.Popen[bytes]) -> None:
    """Neither while nobody has waited for it nor when it is gone, and then it has no birth."""
    born = process_identity.birth(process.pid)
    process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    assert process_identity.find(process.pid, born) is None
    process.wait()
    assert process_identity.find(process.pid, born) is None
    with pytest.raises(psutil.NoSuchProcess):
        process_identity.birth(process.pid)


def test_a_name_with_brackets_does_not_confuse(tmp_path: Path) -> None:
    """The kernel tells the name in front of the start, as it is."""
    script = tmp_path / "a) 1 (b"
    script.symlink_to("/bin/cat")
    since_s, per_s = (psutil.boot_time(), os.sysconf("SC_CLK_TCK")) if psutil.LINUX else (0.0, 1)
    with subprocess.Popen([script], stdin=subprocess.PIPE) as named:
        start = float(process_identity.birth(named.pid).rpartition("+")[2])
        assert start / per_s == pytest.approx(psutil.Process(named.pid).create_time() - since_s, abs=0.01)
