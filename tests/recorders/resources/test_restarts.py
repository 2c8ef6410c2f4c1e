"""Whether the process is the same all the time."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gaia_checks.model import Release, Target
from gaia_checks.recorders.resources import restarts
from tests.probes.servers import known, target
from tests.recorders import stage
from tests.support import clock


def sleeping(seconds: float) -> "tuple[subprocess.Popen[bytes], Target]":
    """Start a process that ends by itself, and the target that it stands for."""
    process = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"])
    return process, target("http://127.0.0.1:9", process=known(process.pid, Path(sys.executable)))


def test_a_process_that_stays_was_not_restarted(tmp_path: Path) -> None:
    """A running process is found at every sample."""
    process, at = sleeping(30)
    try:
        measured = stage.run(restarts.record, at, tmp_path, window_s=1.2)["process.restarts"]
    finally:
        process.kill()
        process.wait()
    assert (measured.value, measured.n) == (0, 3)
    assert measured.window_s >= 1.2


def test_a_process_was_not_restarted_when_the_clock_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock change does not count as a restart."""
    process, at = sleeping(30)
    try:
        clock.step(monkeypatch)
        measured = stage.run(restarts.record, at, tmp_path, window_s=0.2)["process.restarts"]
    finally:
        process.kill()
        process.wait()
    assert (measured.value, measured.notes) == (0, ())


def test_a_process_that_is_gone_is_noticed_at_once(tmp_path: Path) -> None:
    """A lost process is reported at once, so that the gate can stop early."""
    process, at = sleeping(0.5)
    measured = stage.run(restarts.record, at, tmp_path, window_s=60)["process.restarts"]
    process.wait()
    assert measured.value == 1
    assert measured.window_s < 10
    assert f"process {process.pid} was gone" in measured.notes[0]


def test_a_process_of_another_release_is_detected_at_the_start(tmp_path: Path) -> None:
    """A wrong executable is reported at the start of the gate."""
    process, at = sleeping(30)
    try:
        at = replace(at, release=Release("phase-1", None, "0" * 64, {}))
        measured = stage.run(restarts.record, at, tmp_path, window_s=1.2)["process.digest_matches"]
    finally:
        process.kill()
        process.wait()
    assert measured.value is False
    assert f"process {process.pid} runs neither a file with sha256 000" in measured.notes[0]


def test_a_remote_process_is_unobservable(tmp_path: Path) -> None:
    """A remote process gives no samples, but a reason."""
    measured = stage.run(restarts.record, target("http://127.0.0.1:9"), tmp_path, window_s=60)["process.restarts"]
    assert measured.n == 0
    assert "cannot be observed from here: run the gate on the machine where `gaia deploy test`" in measured.notes[0]
