"""Tests that a load with an unreliable generator never passes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from gaia_checks import jsonl
from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.load.results import result_files
from tests.load.processes import locust, result, server, starting, wait_for

EASY = ("--success", "1%", "--p99", "59s", "--folder", ".")


def sender(process: "subprocess.Popen[bytes]") -> psutil.Process:
    """Return the sending process: locust, or the precise engine that it started."""
    own = psutil.Process(process.pid)
    return next((child for child in own.children() if "gaia_checks.load.engines.uvloop_engine" in child.cmdline()), own)


def seconds(folder: Path) -> int:
    """Return the number of seconds written so far."""
    path = folder / result_files.TIMELINE
    return len(list(jsonl.read(path))) if path.exists() else 0


@pytest.mark.parametrize("engine", ["locust", "precise"])
def test_a_stopped_generator_is_detected(engine: str, tmp_path: Path) -> None:
    """A generator stopped for two seconds sends every overdue request, but its latencies are unreliable."""
    with server() as url:
        load = starting("smoke.py", url, "-t", "6s", "--rate", "100", "--engine", engine, *EASY, cwd=tmp_path)
        with load as process:
            wait_for(lambda: seconds(tmp_path) >= 1)
            stopped, before = sender(process), seconds(tmp_path)
            stopped.send_signal(signal.SIGSTOP)
            wait_for(lambda: stopped.status() == psutil.STATUS_STOPPED)
            _pass(2.0)
            stopped.send_signal(signal.SIGCONT)
            assert process.wait(60) == 8
    observed = result(tmp_path)
    assert before < 5
    assert (observed["intended"], observed["done"], observed["unsent"]) == (600, 600, 0)
    assert observed["lateness_max_ms"] > 1000
    assert "the generator is unreliable: load.send_lateness" in (tmp_path / "locust.err").read_text()


@contextmanager
def busy(core: int, processes: int) -> Iterator[None]:
    """Keep one core busy with several processes."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        for process in running:
            psutil.Process(process.pid).cpu_affinity([core])
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def test_a_starved_generator_is_detected(tmp_path: Path) -> None:
    """A generator with the lowest priority on a busy core cannot send on time, and reports it."""
    core = psutil.Process().cpu_affinity()[0]
    with server() as url, starting("smoke.py", url, "-t", "6s", "--rate", "200", *EASY, cwd=tmp_path) as process:
        wait_for(lambda: seconds(tmp_path) >= 1)
        starved = psutil.Process(process.pid)
        starved.nice(19)
        starved.cpu_affinity([core])
        with busy(core, 4):
            _pass(4.0)
        assert process.wait(60) == 8
    observed = result(tmp_path)
    assert (observed["intended"], observed["done"]) == (1200, 1200)
    assert "the generator is unreliable: load." in (tmp_path / "locust.err").read_text()


@pytest.mark.parametrize("engine", ["locust", "precise"])
def test_a_target_that_refuses_fails(engine: str, tmp_path: Path) -> None:
    """A refused connection is a failure of the server: every request counts as sent and failed."""
    url = f"http://127.0.0.1:{free_port()}"
    done = locust("smoke.py", url, "-t", "1s", "--rate", "50", "--engine", engine, *EASY, cwd=tmp_path)
    observed = result(tmp_path)
    assert (observed["sent"], observed["failed"], observed["served"], observed["generator_errors"]) == (50, 50, 0, 0)
    assert done.returncode in (1, 8)
    assert "GET /health: the connection failed: " in observed["notes"][0]


def test_a_name_that_is_unknown_is_inconclusive(tmp_path: Path) -> None:
    """Nothing was sent, so the load is inconclusive."""
    done = locust("smoke.py", "http://no-such-host.invalid", "-t", "1s", *EASY, cwd=tmp_path)
    assert done.returncode == 8
    assert "broken" in result(tmp_path)


def test_a_load_with_unwritten_seconds_is_inconclusive(tmp_path: Path) -> None:
    """A load with unwritten seconds is inconclusive, even if later seconds can be written."""
    kept, away = (tmp_path / result_files.TIMELINE).parent, tmp_path / "away"
    with server() as url, starting("smoke.py", url, "-t", "6s", "--rate", "20", *EASY, cwd=tmp_path) as process:
        wait_for(lambda: seconds(tmp_path) >= 1)
        kept.rename(away)
        kept.touch()
        wait_for(lambda: "[Errno " in (tmp_path / "locust.err").read_text())
        kept.unlink()
        away.rename(kept)
        assert process.wait(60) == 8
    assert str(result_files.TIMELINE) in result(tmp_path)["broken"]


def _pass(seconds_: float) -> None:
    """Let time pass: the duration is the subject of the test, not a synchronisation."""
    subprocess.run(["sleep", str(seconds_)], check=True)
    os.sched_yield()
