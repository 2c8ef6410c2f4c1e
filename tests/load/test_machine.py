"""Tests of the CPU use of this machine while a load runs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gaia_checks.load.machine import GATE, GENERATOR, OTHERS, SERVER, Machine, Taken
from gaia_checks.model import Process

BUSY = "while True: pass"


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that uses a whole core."""
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    yield process
    process.kill()
    process.wait()


def sample_twice(*machines: Machine) -> None:
    """Sample side by side until each has two seconds."""
    while any(len(machine.taken) < 2 for machine in machines):
        for machine in machines:
            machine.sample()
        time.sleep(0.05)  # between two samples, as a load does it


def taken(gate: int) -> float:
    """Return the share of all cores used by processes outside `gate`, over two seconds."""
    machine = Machine(None, gate=gate, generator=None)
    sample_twice(machine)
    measured = machine.measurements("load", 2.0)[0]
    assert (measured.name, measured.n) == ("load.cpu_of_others", 2)
    return float(measured.value)


def test_another_busy_process_is_measured(busy: subprocess.Popen[bytes]) -> None:
    """A core used by another process counts as used by others."""
    before = psutil.Process(busy.pid).cpu_times().user
    began = time.monotonic()
    share = taken(gate=2**22 + 1)  # no such process
    used = (psutil.Process(busy.pid).cpu_times().user - before) / (time.monotonic() - began)
    assert share >= 0.5 * used / (psutil.cpu_count() or 1)


def test_the_gates_processes_do_not_count_as_others(busy: subprocess.Popen[bytes]) -> None:
    """Children of the gate's process belong to the gate; others use less than all processes together."""
    assert busy.poll() is None
    others, everybody = (Machine(None, gate=root, generator=None) for root in (os.getpid(), 2**22 + 1))
    sample_twice(others, everybody)
    used = [float(machine.measurements("load", 2.0)[0].value) for machine in (others, everybody)]
    assert used[0] < used[1]


@pytest.mark.parametrize("whose", [SERVER, GENERATOR, GATE])
def test_cpu_is_attributed_to_the_nearest_root(busy: subprocess.Popen[bytes], whose: str) -> None:
    """The generator and the server do not belong to the gate, although they are its descendants."""
    server = Process(busy.pid, "birth", 0.0, Path("server")) if whose == SERVER else None
    machine = Machine(server, gate=os.getpid(), generator=busy.pid if whose == GENERATOR else None)
    began_s, own_s = time.monotonic(), time.process_time()
    sample_twice(machine)
    own = (time.process_time() - own_s) / (time.monotonic() - began_s)
    shares = {
        observed.name.removeprefix("load.cpu_of_"): observed.value for observed in machine.measurements("load", 2.0)
    }
    shares[GATE] -= own  # of this test itself, which reads every process
    used = psutil.Process(busy.pid).cpu_times().user
    assert used > 0.2
    assert max((SERVER, GENERATOR, GATE), key=lambda who: shares.get(who, 0.0)) == whose, shares
    assert (SERVER in shares) is (whose == SERVER)


def test_a_rehearsal_copy_belongs_to_the_gate(tmp_path: Path) -> None:
    """Its supervisor is a daemon, no descendant of the gate: its command line tells."""
    pid = tmp_path / "pid"
    daemon = (
        f"import os, pathlib\nif pid := os.fork(): pathlib.Path({str(pid)!r}).write_text(str(pid)), os._exit(0)\n{BUSY}"
    )
    subprocess.run([sys.executable, "-c", daemon, "/var/lib/qa-rehearsal-outage.toml"], check=True)
    try:
        assert gates_share(Machine(None, gate=2**22 + 1, generator=None)) > 0.01
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_process_that_has_ended_belongs_to_its_parents_consumer() -> None:
    """Children that live less than a second are in no scan; what they used is known of their parent."""
    short = "import subprocess, sys\nwhile True: subprocess.run([sys.executable, '-c', 'sum(range(5_000_000))'])"
    process = subprocess.Popen([sys.executable, "-c", short], start_new_session=True)
    try:
        assert gates_share(Machine(None, gate=process.pid, generator=None)) > 0.01
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def gates_share(machine: Machine) -> float:
    """Return the share of one core that the gate used, over two seconds."""
    sample_twice(machine)
    return {each.name: float(each.value) for each in machine.measurements("load", 2.0)}["load.cpu_of_gate"]


def test_a_mean_excludes_the_time_before_the_load() -> None:
    """CPU used before the load starts, such as the import of locust, does not count."""
    machine = Machine(None)
    for began_s, cpu_s in ((8.0, 0.9), (9.0, 0.9), (10.0, 0.1), (11.0, 0.3)):
        machine.taken.append(Taken(began_s, 1.0, {GENERATOR: cpu_s, GATE: 0.0, OTHERS: 0.0}))
    observed = {each.name: (each.value, each.n) for each in machine.measurements("load", 2.0, started_s=9.5)}
    assert observed["load.cpu_of_generator"] == (0.2, 2)
    assert machine.measurements("load", 2.0)[1].n == 4


def test_nothing_sampled_is_nothing_measured() -> None:
    """A load that stopped at once measures nothing of the machine."""
    assert [measured.n for measured in Machine(None).measurements("load", 0.0)] == [0, 0, 0, 0]
