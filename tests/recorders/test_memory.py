"""The look at memory, on real processes."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from gaia_checks.model import Process, Target
from gaia_checks.recorders import memory
from tests.probes.servers import target
from tests.recorders import stage

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "x = bytearray(b'x') * 60_000_000; print(flush=True); input()"],
                         stdin=subprocess.PIPE)
input()
child.communicate(b"\\n")
"""


@contextmanager
def family() -> Iterator[Target]:
    """A small process whose child holds 60 MB."""
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # the child has it now
        created_s = psutil.Process(process.pid).create_time()
        yield target("http://127.0.0.1:9", process=Process(process.pid, created_s, Path(sys.executable)))
    finally:
        process.communicate(b"\n")


def test_the_whole_process_tree_is_sampled(tmp_path: Path) -> None:
    """A child's memory counts; MB are 10^6 bytes; the window is seen in full."""
    with family() as parent:
        seen = stage.run(memory.record, parent, tmp_path, window_s=0.5, interval_s=0.2)
    peak, series = seen["memory.peak"], seen["memory.series"]
    assert 60 < peak.value < 120
    assert peak.n == series.n == len(series.value) >= 3
    assert peak.value == max(mb for _, mb in series.value)
    assert min(peak.window_s, series.window_s) >= 0.5
    last = stage.timeline_of(tmp_path)[-1]
    assert last["tree_mb"] > 60
    assert last["worst"].endswith(f"at most {peak.value:.1f} MB")


def test_another_process_with_the_same_pid_is_not_taken_for_it(tmp_path: Path) -> None:
    """A process is its pid and its start time."""
    with family() as parent:
        assert parent.process is not None
        other = Process(parent.process.pid, parent.process.created_s - 60, parent.process.artifact)
        seen = stage.run(memory.record, target("http://127.0.0.1:9", process=other), tmp_path, window_s=9, interval_s=1)
    assert {measurement.n for measurement in seen.values()} == {0}
    assert "was gone after 0 s" in seen["memory.peak"].notes[0]


def test_a_process_that_ends_leaves_what_was_seen_of_it(tmp_path: Path) -> None:
    """The window says how long it was seen, so that it cannot pass for the whole."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"])
    try:
        found = Process(process.pid, psutil.Process(process.pid).create_time(), Path(sys.executable))
        seen = stage.run(memory.record, target("http://x", process=found), tmp_path, window_s=30, interval_s=0.1)
    finally:
        process.wait()
    assert seen["memory.peak"].n > 0
    assert seen["memory.peak"].window_s < 1
    assert f"process {process.pid} was gone" in seen["memory.peak"].notes[0]


def test_an_unknown_process_is_said_to_be_so(tmp_path: Path) -> None:
    """With what to do about it."""
    seen = stage.run(memory.record, target("http://127.0.0.1:9"), tmp_path, window_s=60, interval_s=1)
    assert set(seen) == {"memory.peak", "memory.series"}
    assert {measurement.n for measurement in seen.values()} == {0}
    assert "`gaia deploy`" in seen["memory.peak"].notes[0]


@pytest.mark.parametrize(("points", "kept"), [(0, 0), (1, 1), (2000, 2000), (2001, 1001), (10_000, 2000)])
def test_a_long_series_is_thinned_evenly(points: int, kept: int) -> None:
    """At most 2,000 points, the first among them, all equally far apart."""
    thinned = memory.thin([(float(t), 1.0) for t in range(points)])
    assert len(thinned) == kept
    assert len({later[0] - earlier[0] for earlier, later in itertools.pairwise(thinned)}) <= 1
