"""The look at memory, on real processes."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gaia_checks.model import Measurement, Target
from gaia_checks.recorders.base.sampling import Coverage
from gaia_checks.recorders.resources import memory, memory_samples
from tests.probes.servers import known, serving, target
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
    """A small process whose child uses 60 MB."""
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # the child has it now
        yield target("http://127.0.0.1:9", process=known(process.pid, Path(sys.executable)))
    finally:
        process.communicate(b"\n")


def test_the_whole_process_tree_is_sampled(tmp_path: Path) -> None:
    """A child's memory counts; MB are 10^6 bytes; the whole window is covered."""
    with family() as parent:
        observed = stage.run(memory.record, parent, tmp_path, window_s=0.5, interval_s=0.2)
    peak, series = observed["memory.peak"], observed["memory.series"]
    assert 60 < peak.value < 120
    assert peak.n == series.n == len(series.value) >= 3
    assert peak.value <= max(mb for _, mb in series.value)  # which has the shared part at its most
    assert min(peak.window_s, series.window_s) >= 0.5
    last = stage.timeline_of(tmp_path)[-1]
    assert last["tree_mb"] > 60
    assert last["worst"].endswith(f"at most {peak.value:.1f} MB")


def test_another_process_with_the_same_pid_is_not_taken_for_it(tmp_path: Path) -> None:
    """A process is identified by pid and birth."""
    with family() as parent:
        assert parent.process is not None
        other = replace(parent.process, birth=f"{parent.process.birth}0")
        observed = stage.run(
            memory.record, target("http://127.0.0.1:9", process=other), tmp_path, window_s=9, interval_s=1
        )
    assert {measurement.n for measurement in observed.values()} == {0}
    assert "was gone after 0 s" in observed["memory.peak"].notes[0]


def test_a_process_that_exits_keeps_its_samples(tmp_path: Path) -> None:
    """The measured window is short, so that it cannot pass."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"])
    try:
        found = known(process.pid, Path(sys.executable))
        observed = stage.run(memory.record, target("http://x", process=found), tmp_path, window_s=30, interval_s=0.1)
    finally:
        process.wait()
    assert observed["memory.peak"].n > 0
    assert observed["memory.peak"].window_s < 1
    assert f"process {process.pid} was gone" in observed["memory.peak"].notes[0]


# without a process on this machine ---------------------------------------------------------------------


def record_metrics(folder: Path, *texts: str) -> dict[str, Measurement]:
    """Record a server known only by its metrics; each text is answered once, the last one repeatedly."""
    left = list(texts)

    async def metrics(_: Request) -> Response:
        return Response(left.pop(0) if len(left) > 1 else left[0], media_type="text/plain")

    with serving(Route("/metrics", metrics)) as url:
        return stage.run(memory.record, target(url), folder, window_s=0.5, interval_s=0.1)


def test_a_remote_server_reports_its_own_memory(tmp_path: Path) -> None:
    """A remote server's memory is its resident set size, and the method names it."""
    resident = "process_resident_memory_bytes"
    observed = record_metrics(tmp_path, f"# HELP {resident} x\n{resident} 1.5e+08\n", f"{resident} 120000000\n")
    assert observed["memory.peak"].value == 150
    assert observed["memory.series"].value[-1][1] == 120
    assert min(observed["memory.peak"].window_s, observed["memory.series"].window_s) >= 0.5
    assert all("(RSS)" in measurement.how and "GET /metrics" in measurement.how for measurement in observed.values())
    assert stage.timeline_of(tmp_path)[-1]["worst"] == "120.0 MB, at most 150.0 MB"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("process_start_time_seconds 1000\n", "process_start_time_seconds 1009\n"),
        ("gaia_uptime_seconds 1000\n", "gaia_uptime_seconds 10\n"),
    ],
)
def test_answers_of_several_processes_are_unreliable(tmp_path: Path, first: str, second: str) -> None:
    """Answers of several processes give no samples: the total is unknown."""
    resident_line = "process_resident_memory_bytes 1000000\n"
    observed = record_metrics(tmp_path, resident_line + first, resident_line + second)
    assert {measurement.n for measurement in observed.values()} == {0}
    assert "the server was restarted, or has several processes" in observed["memory.peak"].notes[0]


@pytest.mark.parametrize(
    ("text", "why"), [("other 1\n", "the gauge process_resident_memory_bytes is missing"), ("", "is missing")]
)
def test_missing_memory_metrics_are_unobservable(tmp_path: Path, text: str, why: str) -> None:
    """Missing memory metrics give no samples, but the setting and the reason."""
    observed = record_metrics(tmp_path, text)
    assert set(observed) == {"memory.peak", "memory.series"}
    assert {measurement.n for measurement in observed.values()} == {0}
    for setting in (
        "expose process_resident_memory_bytes in GET /metrics",
        "[contract.metrics] in test.toml",
        "`gaia deploy",
    ):
        assert setting in observed["memory.peak"].notes[0]
    assert why in observed["memory.peak"].notes[0]


def test_the_real_server_reports_its_memory(tmp_path: Path, server: Target) -> None:
    """The reported memory is close to that of the process tree."""
    away = replace(server, process=None)
    by_word = stage.run(memory.record, away, tmp_path, window_s=0.3, interval_s=0.1)["memory.peak"]
    by_process = stage.run(memory.record, server, tmp_path, window_s=0.3, interval_s=0.1)["memory.peak"]
    assert by_word.n > 0
    assert by_process.value <= by_word.value * 1.05 < by_process.value * 2


@pytest.mark.parametrize(("points", "kept"), [(0, 0), (1, 1), (2000, 2000), (2001, 1001), (10_000, 2000)])
def test_a_long_series_is_thinned_evenly(points: int, kept: int) -> None:
    """At most 2,000 evenly spaced points remain, with the first."""
    thinned = memory_samples.thin([(float(t), 1.0) for t in range(points)])
    assert len(thinned) == kept
    assert len({later[0] - earlier[0] for earlier, later in itertools.pairwise(thinned)}) <= 1


def test_another_process_with_the_same_files_moves_no_trend() -> None:
    """Another process changes the server's share of shared memory; the series stays level."""
    observed = memory_samples.MemorySamples(memory.MEASURES, Coverage(1))
    for t_s, held_mb, shared_mb in ((0, 50, 10), (1, 45, 5), (2, 51, 10)):
        observed.add(t_s, held_mb * 1e6, shared_mb * 1e6)
    peak, series = observed.measured()
    assert peak.value == 51
    assert series.value == [(0, 50), (1, 50), (2, 51)]
