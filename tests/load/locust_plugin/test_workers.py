"""Tests of locust's workers: the schedule is split exactly, counts are merged without loss, losses are detected."""

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gaia_checks import jsonl
from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.judge import statistics
from gaia_checks.load import load_run
from gaia_checks.load.results import result_files
from tests.load.processes import locust, reliable, requests, result, server, starting, wait_for

Add = Callable[[], "subprocess.Popen[bytes]"]


LOSING = """
from locust import events
from locust.runners import WorkerRunner
from gaia_checks.load.locust_plugin.user import OpenLoopUser
from gaia_checks.load.plan.request_mix import Mix
from gaia_checks.load.plan.request_mix import Request

class Readers(OpenLoopUser):
    mix = Mix([Request("GET", "/health")])

@events.init.add_listener
def lose_one_report(environment, **_):
    if not isinstance(environment.runner, WorkerRunner):
        return
    lost, client = [], environment.runner.client
    send = client.send

    def send_or_lose(message):
        if not lost and message.type == "stats" and message.data["gaia_load"]:
            lost.append(message)
        else:
            send(message)

    client.send = send_or_lose
"""


def processes(count: int) -> tuple[str, ...]:
    """Return the options that split a load over processes, on a port of their own."""
    port = str(free_port())
    return "--processes", str(count), "--master-bind-port", port, "--master-port", port


@pytest.mark.parametrize("engine", ["locust", "precise"])
def test_processes_send_every_arrival_once(engine: str, tmp_path: Path) -> None:
    """Three processes send the 300 requests of one schedule, each kind as often as one process would."""
    with server() as url:
        done = locust(load_run.LOCUSTFILES["load"], url, "-t", "3s", "--rate", "100", *processes(3), "--engine", engine,
                      "--success", "50%", "--folder", ".", cwd=tmp_path)  # fmt: skip
        counts = requests(url)
    observed = result(tmp_path)
    assert done.returncode == (0 if reliable(tmp_path) else 8), done.stderr
    assert counts == {"POST": 6, "GET": 297, "PUT": 3, "DELETE": 6}
    assert (observed["workers"], observed["intended"], observed["done"], observed["unsent"]) == (3, 300, 300, 0)
    assert statistics.decode(observed["latency"]).get_total_count() == sum(n for n, _ in observed["blocks"]) == 300
    seconds = list(jsonl.read(tmp_path / result_files.TIMELINE))
    assert sum(second["done"] for second in seconds) == sum(second["intended"] for second in seconds) == 300
    assert [second["t"] for second in seconds] == sorted(second["t"] for second in seconds)
    assert "Aggregated                                                                       300" in done.stderr


@contextmanager
def one_master(url: str, workers: int, *options: str, folder: Path) -> Iterator["tuple[subprocess.Popen[bytes], Add]"]:
    """Start a master in `folder` that waits for `workers`; yield it and a function that adds a worker."""
    port = str(free_port())
    master = ("--master", "--master-bind-port", port, "--expect-workers", str(workers), "--folder", ".", *options)
    with ExitStack() as stack:

        def add() -> "subprocess.Popen[bytes]":
            own = Path(tempfile.mkdtemp(dir=folder))
            return stack.enter_context(
                starting("smoke.py", url, "--worker", "--master-port", port, headless=False, cwd=own)
            )

        yield stack.enter_context(starting("smoke.py", url, *master, cwd=folder)), add


def test_a_worker_that_is_killed_makes_the_load_inconclusive(tmp_path: Path) -> None:
    """The master reports it, stops the load, and exits with 8 whatever the thresholds."""
    options = ("-t", "60s", "--rate", "50", "--success", "1%")
    with server() as url, one_master(url, 2, *options, folder=tmp_path) as (master, add):
        workers = [add(), add()]
        wait_for((tmp_path / result_files.TIMELINE).exists, 150)
        os.kill(workers[0].pid, signal.SIGKILL)
        assert master.wait(40) == 8
        assert workers[1].wait(40) == 0
    lost = f"1 of 2 workers was lost: {socket.gethostname()} (pid {workers[0].pid}): what it sent is not known"
    assert result(tmp_path) == {"broken": lost}
    assert lost in (tmp_path / "locust.err").read_text()


def test_a_worker_that_joins_a_running_load_is_refused(tmp_path: Path) -> None:
    """The load has no part for it, and goes on without it."""
    options = ("-t", "30s", "--rate", "20", "--success", "1%")
    with server() as url, one_master(url, 1, *options, folder=tmp_path) as (master, add):
        add()
        wait_for((tmp_path / result_files.TIMELINE).exists, 150)
        assert add().wait(40) == 4
        assert master.wait(90) in (0, 8)
        assert sum(requests(url).values()) == 600
    assert result(tmp_path)["done"] == 600
    assert [worker["done"] for worker in result(tmp_path)["by_worker"]] == [600]
    assert "the load has started without it" in (tmp_path / "locust.err").read_text()


@contextmanager
def waiting_master(*options: str, folder: Path, page: bool) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a master in `folder` for two workers that never connect, with or without its web page."""
    ours = ("-t", "5s", "--success", "50%", "--master", "--master-bind-port", str(free_port()), "--expect-workers", "2")
    web = ("--autostart", "--web-host", "127.0.0.1", "--web-port", str(free_port())) if page else ()
    with starting(
        "smoke.py", "http://127.0.0.1:9", *ours, *web, "--folder", ".", *options, headless=not page, cwd=folder
    ) as master:
        yield master


@pytest.mark.parametrize("page", [False, True])
def test_workers_that_never_come_make_the_load_inconclusive(page: bool, tmp_path: Path) -> None:
    """The exit code is 8; locust's own would blame the server."""
    with waiting_master("--expect-workers-max-wait", "1", folder=tmp_path, page=page) as master:
        assert master.wait(40) == 8
    assert result(tmp_path)["broken"].startswith("0 of 2 workers joined within 1 s; start the others with `gaia load")
    assert "inconclusive: the load was not measured: 0 of 2 workers" in (tmp_path / "locust.err").read_text()


def test_a_master_terminated_while_waiting_is_inconclusive(tmp_path: Path) -> None:
    """Nothing was sent, so the load is inconclusive."""
    with waiting_master(folder=tmp_path, page=True) as master:
        wait_for(lambda: "0 of 2 connected" in (tmp_path / "locust.err").read_text())
        master.terminate()
        assert master.wait(40) == 8


def test_a_worker_that_cannot_prepare_ends_the_load(tmp_path: Path) -> None:
    """The load reports the worker's reason."""
    with server(status=403) as url:
        done = locust(load_run.LOCUSTFILES["load"], url, "-t", "30s", *processes(2), "--folder", ".", cwd=tmp_path)
    assert done.returncode == 8
    assert "status 403: the admin token is missing or wrong" in result(tmp_path)["broken"]


def test_a_report_that_is_lost_on_its_way_makes_the_load_inconclusive(tmp_path: Path) -> None:
    """The lost requests might be the ones that failed."""
    (tmp_path / "losing.py").write_text(LOSING)
    with server() as url:
        done = locust(tmp_path / "losing.py", url, "-t", "8s", "--rate", "20", *processes(2), "--success", "50%",
                      "--folder", ".", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 8
    assert "reports was lost or arrived twice" in result(tmp_path)["broken"]


def test_an_unwritable_timeline_makes_the_load_inconclusive(tmp_path: Path) -> None:
    """The master does not continue without the seconds that it could not write."""
    with server() as url, one_master(url, 1, "-t", "60s", "--success", "1%", folder=tmp_path) as (master, add):
        add()
        wait_for((tmp_path / result_files.TIMELINE).exists, 150)
        kept = (tmp_path / result_files.TIMELINE).parent
        kept.rename(tmp_path / "away")
        kept.touch()
        assert master.wait(40) == 8
    assert str(result_files.TIMELINE) in result(tmp_path)["broken"]
