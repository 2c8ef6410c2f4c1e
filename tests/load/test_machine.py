"""Who takes the CPU of this machine while a load runs."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from gaia_checks.load.machine import Machine

BUSY = "while True: pass"


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    """A process that takes a whole core."""
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    yield process
    process.kill()
    process.wait()


def taken(gate: int) -> float:
    """Return what others than the processes below `gate` took of all cores, as measured over two seconds."""
    machine = Machine(None, gate=gate)
    while len(machine.shares) < 2:
        machine.sample()
        time.sleep(0.05)
    measured = machine.measurements("load", 2.0)[0]
    assert (measured.name, measured.n) == ("load.cpu_of_others", 2)
    return float(measured.value)


def test_a_busy_stranger_is_seen(busy: subprocess.Popen[bytes]) -> None:
    """A core that neither the target nor the gate uses."""
    before = psutil.Process(busy.pid).cpu_times().user
    began = time.monotonic()
    share = taken(gate=2**22 + 1)  # nobody is below it
    used = (psutil.Process(busy.pid).cpu_times().user - before) / (time.monotonic() - began)
    assert share >= 0.5 * used / (psutil.cpu_count() or 1)


def test_our_own_processes_are_no_strangers(busy: subprocess.Popen[bytes]) -> None:
    """What is below the gate's process is the gate's: it is less than what all together take."""
    assert busy.poll() is None
    assert taken(gate=os.getpid()) <= taken(gate=2**22 + 1)


def test_nothing_sampled_is_nothing_measured() -> None:
    """A load that ended at once says nothing about the machine."""
    assert [measured.n for measured in Machine(None).measurements("load", 0.0)] == [0, 0, 0, 0]
