"""The machine observer, as a separate process."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gaia_checks import jsonl
from gaia_checks.load.results import stall_measurements
from gaia_checks.model import Measurement
from gaia_checks.recorders.resources import machine_stalls
from gaia_checks.recorders.resources.machine_stalls import Kernel, between

Observer = subprocess.Popen[bytes]


@pytest.fixture
def observer(tmp_path: Path) -> Iterator[Observer]:
    """The process, observing."""
    argv = [sys.executable, "-m", "gaia_checks.recorders.resources.machine_stalls", "--folder", str(tmp_path)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def timeline(folder: Path) -> list[dict[str, Any]]:
    """What it has written so far."""
    return list(jsonl.read(folder / stall_measurements.TIMELINE))


def until(done: Callable[[], bool]) -> None:
    """Wait with a time limit."""
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_stall_is_noted_with_its_start_and_length(tmp_path: Path, observer: Observer) -> None:
    """A stopped process observes a stall, like one without a core."""
    until(lambda: len(timeline(tmp_path)) >= 1)
    stopped_s = time.monotonic()
    os.kill(observer.pid, signal.SIGSTOP)
    time.sleep(0.4)  # the stall itself
    os.kill(observer.pid, signal.SIGCONT)
    length_s = time.monotonic() - stopped_s
    seconds = len(timeline(tmp_path))
    until(lambda: len(timeline(tmp_path)) > seconds)
    observer.terminate()
    assert observer.wait(10) == 0
    start_s, longest_s = max((each for record in timeline(tmp_path) for each in record["stalls"]), key=lambda s: s[1])
    assert longest_s == pytest.approx(length_s, abs=0.1)
    assert start_s == pytest.approx(stopped_s, abs=0.1)
    measured = Measurement.from_json(next(jsonl.read(tmp_path / "measurements.jsonl")))
    assert (measured.name, measured.unit) == ("machine.stalled", "s")
    assert measured.value >= longest_s - 0.001
    assert measured.n == sum(record["wake_ups"] for record in timeline(tmp_path))
    assert measured.notes[0].startswith(f"{longest_s:.3f} s at 20")


def test_every_second_is_covered(tmp_path: Path, observer: Observer) -> None:
    """Records are contiguous on the monotonic clock, with the kernel's shares."""
    until(lambda: len(timeline(tmp_path)) >= 3)
    records = timeline(tmp_path)
    for before, after in itertools.pairwise(records):
        assert after["monotonic_s"] - after["seconds"] == pytest.approx(before["monotonic_s"], abs=0.001)
    assert records[0]["seconds"] >= 1
    assert records[-1]["monotonic_s"] <= time.monotonic()
    assert records[0].keys() == {"at", "monotonic_s", "seconds", "wake_ups", "stalls", "busy", "steal", "pressure"}
    assert observer.poll() is None


def test_the_end_of_standard_input_ends_it(tmp_path: Path, observer: Observer) -> None:
    """When the gate is gone, the observations are kept and the exit code is 1."""
    until(lambda: len(timeline(tmp_path)) >= 1)
    assert observer.stdin is not None
    observer.stdin.close()
    assert observer.wait(10) == 1
    assert next(jsonl.read(tmp_path / "measurements.jsonl"))["name"] == "machine.stalled"
    observer.stdin = None


def test_it_takes_next_to_nothing(tmp_path: Path, observer: Observer) -> None:
    """The observer uses below 3 % of a core, without its start."""

    def used_s() -> float:
        fields = Path(f"/proc/{observer.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    if not Path("/proc/stat").exists():
        pytest.skip("there is no /proc to read the CPU time from")
    until(lambda: len(timeline(tmp_path)) >= 1)
    started_s, before_s = time.monotonic(), used_s()
    until(lambda: len(timeline(tmp_path)) >= 6)
    assert (used_s() - before_s) / (time.monotonic() - started_s) < 0.03


def test_a_kernel_without_counters_says_nothing() -> None:
    """Where /proc is missing the shares are null, and that is JSON."""
    nothing = Kernel(None, None, {"cpu": None, "io": None})
    shares = between(nothing, nothing, 1.0, 2)
    assert json.loads(json.dumps(shares)) == {"busy": None, "steal": None, "pressure": {"cpu": None, "io": None}}


def test_shares_are_of_all_cores_and_of_the_time() -> None:
    """Two cores, two seconds: 3 s busy of 4, 1 s stolen of 4; something waited for a core for half of the time."""
    before = Kernel(10.0, 1.0, {"cpu": {"some": 5.0, "full": 0.0}, "io": None})
    after = Kernel(13.0, 2.0, {"cpu": {"some": 6.0, "full": 0.0}, "io": None})
    assert between(before, after, 2.0, 2) == {
        "busy": 0.75,
        "steal": 0.25,
        "pressure": {"cpu": {"some": 0.5, "full": 0.0}, "io": None},
    }


def test_the_load_reads_what_the_observer_writes() -> None:
    """Load and observer use the same file name without an import."""
    assert machine_stalls.TIMELINE == stall_measurements.TIMELINE
