"""The locustfiles run headless by themselves, as any CI would run them, and stay a locust that its users know."""

import csv
import json
from pathlib import Path

import httpx
import pytest

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.load.plan.request_mix import spread
from tests.load.processes import believed, locust, result, server, starting, wait_for

TASKS = """
from locust import task
from gaia_checks.load.locust_plugin.user import OpenLoopUser

class Visitors(OpenLoopUser):
    @task(3)
    def look(self):
        assert self.exchange("GET", "/health").status == 200

    @task
    def complain(self):
        assert self.exchange("GET", "/health").status == 404, "it was found"
"""
HASTY = """
import gevent
from locust import task
from gaia_checks.load.locust_plugin.user import OpenLoopUser

class Hasty(OpenLoopUser):
    @task
    def hurry(self):
        with gevent.Timeout(0.01):
            gevent.sleep(60)
"""
TWO = """
from gaia_checks.load.locust_plugin.user import OpenLoopUser

class One(OpenLoopUser): ...
class Two(OpenLoopUser): ...
"""


def test_smoke_runs_by_hand(tmp_path: Path) -> None:
    """Locust's own table has our requests, and nothing is written."""
    with server() as url:
        done = locust("smoke.py", url, "-t", "1s", "--rate", "20", "--arrivals", "poisson", cwd=tmp_path)
    assert done.returncode in (0, 8), done.stderr
    assert "GET      /health" in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ((), "add e.g. -t 60s"),
        (("-t", "1s", "--arrivals", "x"), "poisson"),
        (("-t", "1s", "--rate", "fast"), "'fast' is not a rate; write 100"),
        (("-t", "1s", "--p99", "100"), "'100' is not a duration; write e.g. 100ms"),
        (("-t", "1s", "--success", "150%"), "'150%' is not a share; write e.g. 99.95%"),
        (("-t", "9s", "--looks-s", "soon"), "'soon' is not a list of seconds; write e.g. 300,1470"),
        (("-t", "soon"), "argument -t/--run-time"),
        (("-t", "1s", "--p98", "1s"), "unrecognized arguments: --p98"),
    ],
)
def test_a_missing_or_wrong_option_is_said(options: tuple[str, ...], text: str, tmp_path: Path) -> None:
    """It says what to write and does not run, also where the option is locust's own."""
    done = locust("smoke.py", "http://127.0.0.1:9", *options, cwd=tmp_path)
    assert done.returncode == 4
    assert text in done.stderr


@pytest.mark.parametrize(("engine", "status", "code"), [("locust", 200, 0), ("precise", 200, 0), ("precise", 500, 1)])
def test_thresholds_set_the_exit_code(engine: str, status: int, code: int, tmp_path: Path) -> None:
    """0 when the server surely keeps them, 1 when it surely does not; both engines count the same."""
    limits = ("--p99", "20s", "--success", "90%")
    with server(status=status) as url:
        done = locust("smoke.py", url, "-t", "2s", "--rate", "200", "--engine", engine, *limits, "--folder", ".",
                      cwd=tmp_path)  # fmt: skip
    seen = result(tmp_path)
    assert (seen["intended"], seen["sent"], seen["done"], seen["failed"]) == (400, 400, 400, 400 * (status == 500))
    assert done.returncode == (code if believed(tmp_path) else 8), done.stderr
    assert "GET      /health" in done.stdout + done.stderr


def test_own_tasks_are_done_once_per_arrival(tmp_path: Path) -> None:
    """Each counts as a request; what a task asserts is the server's failure."""
    (tmp_path / "tasks.py").write_text(TASKS)
    with server() as url:
        done = locust(tmp_path / "tasks.py", url, "-t", "2s", "--rate", "20", "--folder", ".", cwd=tmp_path)
    seen = result(tmp_path)
    assert done.returncode in (1, 8)  # locust's own for failures, as no threshold was given
    complaints = sum(spread(index, 4) == 3 for index in range(40))
    assert (seen["done"], seen["failed"], seen["generator_errors"]) == (40, complaints, 0)
    assert {name: route["done"] for name, route in seen["routes"].items()} == {
        "TASK complain": complaints,
        "TASK look": 40 - complaints,
    }
    assert seen["notes"][0].startswith("complain: it was found, due at ")


def test_a_task_that_runs_out_of_its_own_time_is_counted(tmp_path: Path) -> None:
    """As any exception of a task: gevent's time limit is none by its class."""
    (tmp_path / "hasty.py").write_text(HASTY)
    with server() as url:
        done = locust(tmp_path / "hasty.py", url, "-t", "1s", "--rate", "20", "--folder", ".", cwd=tmp_path)
    seen = result(tmp_path)
    assert done.returncode == 8
    assert (seen["intended"], seen["sent"], seen["done"], seen["generator_errors"]) == (20, 0, 0, 20)


def test_the_precise_engine_refuses_tasks(tmp_path: Path) -> None:
    """It says which ones, and what to do."""
    (tmp_path / "tasks.py").write_text(TASKS)
    with server() as url:
        done = locust(tmp_path / "tasks.py", url, "-t", "1s", "--engine", "precise", cwd=tmp_path)
    assert done.returncode == 8
    assert "sends a mix and runs no Python, but Visitors has tasks of its own (look, " in done.stderr
    assert "omit --engine precise" in done.stderr


def test_one_class_sends_all(tmp_path: Path) -> None:
    """With two, each would send the whole rate."""
    (tmp_path / "two.py").write_text(TWO)
    done = locust(tmp_path / "two.py", "http://127.0.0.1:9", "-t", "1s", cwd=tmp_path)
    assert done.returncode == 4
    assert "name one of One, Two" in done.stderr


@pytest.mark.parametrize("engine", ["locust", "precise"])
def test_the_web_page_and_the_csv_files_are_locusts_own(engine: str, tmp_path: Path) -> None:
    """While the load runs its numbers are on the page; at its end they are in the files."""
    port = free_port()
    page = ("--autostart", "--autoquit", "1", "--web-host", "127.0.0.1", "--web-port", str(port))
    asked = ("-t", "3s", "--rate", "40", "--engine", engine, "--csv", "seen")
    with server() as url, starting("smoke.py", url, *page, *asked, headless=False, cwd=tmp_path) as process:
        wait_for(lambda: _count(f"http://127.0.0.1:{port}/stats/requests") > 0)
        assert process.wait(60) in (0, 8)
    with (tmp_path / "seen_stats.csv").open() as file:
        rows = {row["Name"]: int(row["Request Count"]) for row in csv.DictReader(file)}
    assert rows["/health"] == rows["Aggregated"] == 120


def _count(url: str) -> int:
    try:
        return int(json.loads(httpx.get(url, trust_env=False).text)["stats"][-1]["num_requests"])
    except (httpx.TransportError, ValueError, KeyError, IndexError):
        return 0
