"""Tests of the locustfiles, run headless as in a CI, and of locust's own features."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.environment.project import ROOT
from gaia_checks.load.plan.request_mix import spread
from tests.load.processes import answers, locust, reliable, result, server, starting, wait_for
from tests.support import plain_http

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
    """Locust's own table contains the requests, and no file is written."""
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
def test_a_missing_or_invalid_option_is_reported(options: tuple[str, ...], text: str, tmp_path: Path) -> None:
    """The load names the correct form and does not run, also for locust's own options."""
    done = locust("smoke.py", "http://127.0.0.1:9", *options, cwd=tmp_path)
    assert done.returncode == 4
    assert text in done.stderr


@pytest.mark.parametrize(("engine", "status", "code"), [("locust", 200, 0), ("precise", 200, 0), ("precise", 500, 1)])
def test_thresholds_set_the_exit_code(engine: str, status: int, code: int, tmp_path: Path) -> None:
    """The exit code is 0 when the thresholds are proven, 1 when disproven, for both engines."""
    limits = ("--p99", "20s", "--success", "90%")
    with server(status=status) as url:
        done = locust("smoke.py", url, "-t", "2s", "--rate", "200", "--engine", engine, *limits, "--folder", ".",
                      cwd=tmp_path)  # fmt: skip
    observed = result(tmp_path)
    assert (observed["intended"], observed["sent"], observed["done"], observed["failed"]) == (
        400,
        400,
        400,
        400 * (status == 500),
    )
    assert done.returncode == (code if reliable(tmp_path) else 8), done.stderr
    assert "GET      /health" in done.stdout + done.stderr


def test_own_tasks_are_done_once_per_arrival(tmp_path: Path) -> None:
    """Each task counts as a request; a failed assertion is a failure of the server."""
    (tmp_path / "tasks.py").write_text(TASKS)
    with server() as url:
        done = locust(tmp_path / "tasks.py", url, "-t", "2s", "--rate", "20", "--folder", ".", cwd=tmp_path)
    observed = result(tmp_path)
    assert done.returncode in (1, 8)  # locust's own for failures, as no threshold was given
    complaints = sum(spread(index, 4) == 3 for index in range(40))
    assert (observed["done"], observed["failed"], observed["generator_errors"]) == (40, complaints, 0)
    assert {name: route["done"] for name, route in observed["routes"].items()} == {
        "TASK complain": complaints,
        "TASK look": 40 - complaints,
    }
    assert observed["notes"][0].startswith("complain: it was found, due at ")


def test_a_task_that_runs_out_of_its_own_time_is_counted(tmp_path: Path) -> None:
    """Gevent's timeout counts like any exception of a task, although it is not an Exception."""
    (tmp_path / "hasty.py").write_text(HASTY)
    with server() as url:
        done = locust(tmp_path / "hasty.py", url, "-t", "1s", "--rate", "20", "--folder", ".", cwd=tmp_path)
    observed = result(tmp_path)
    assert done.returncode == 8
    assert (observed["intended"], observed["sent"], observed["done"], observed["generator_errors"]) == (20, 0, 0, 20)


def test_the_precise_engine_refuses_tasks(tmp_path: Path) -> None:
    """The error names the tasks and the remedy."""
    (tmp_path / "tasks.py").write_text(TASKS)
    with server() as url:
        done = locust(tmp_path / "tasks.py", url, "-t", "1s", "--engine", "precise", cwd=tmp_path)
    assert done.returncode == 8
    assert "sends a mix and runs no Python, but Visitors has tasks of its own (look, " in done.stderr
    assert "omit --engine precise" in done.stderr


def test_one_class_sends_all(tmp_path: Path) -> None:
    """Two classes are refused, because each would send the whole rate."""
    (tmp_path / "two.py").write_text(TWO)
    done = locust(tmp_path / "two.py", "http://127.0.0.1:9", "-t", "1s", cwd=tmp_path)
    assert done.returncode == 4
    assert "name one of One, Two" in done.stderr


@pytest.mark.parametrize("engine", ["locust", "precise"])
def test_the_web_page_and_the_csv_files_are_locusts_own(engine: str, tmp_path: Path) -> None:
    """The web page shows the numbers during the load; the CSV files contain them at its end."""
    port = free_port()
    page = ("--autostart", "--autoquit", "1", "--web-host", "127.0.0.1", "--web-port", str(port))
    options = ("-t", "3s", "--rate", "40", "--engine", engine, "--csv", "observed")
    with server() as url, starting("smoke.py", url, *page, *options, headless=False, cwd=tmp_path) as process:
        wait_for(lambda: _count(f"http://127.0.0.1:{port}/stats/requests") > 0)
        assert process.wait(60) in (0, 8)
    with (tmp_path / "observed_stats.csv").open() as file:
        rows = {row["Name"]: int(row["Request Count"]) for row in csv.DictReader(file)}
    assert rows["/health"] == rows["Aggregated"] == 120


def test_the_csv_files_are_complete_at_the_end_of_a_load_without_the_page(tmp_path: Path) -> None:
    """Locust writes them once a second; the load ends after they have its last second, and logs its own length."""
    with server() as url:
        done = locust("smoke.py", url, "-t", "2s", "--rate", "40", "--csv", "observed", "--folder", ".", cwd=tmp_path)
    with (tmp_path / "observed_stats.csv").open() as file:
        rows = {row["Name"]: int(row["Request Count"]) for row in csv.DictReader(file)}
    assert rows["Aggregated"] == result(tmp_path)["done"] == 80
    with (tmp_path / "observed_stats_history.csv").open() as file:
        assert int([*csv.DictReader(file)][-1]["Total Request Count"]) == 80
    assert "Run time limit set to 2 seconds" in done.stderr


@contextmanager
def page(tmp_path: Path, file: str, *options: str) -> Iterator[str]:
    """Open locust's web page on a locustfile; yield its address."""
    port = free_port()
    with (tmp_path / "locust.err").open("wb") as output:
        process = subprocess.Popen(
            (sys.executable, "-m", "locust", "-f", str(ROOT / "locustfiles" / file), "--web-host", "127.0.0.1",
             "--web-port", str(port), *options),
            cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/"))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def test_the_web_page_starts_with_its_defaults(tmp_path: Path) -> None:
    """Its form sends users, a spawn rate and the host, and no run time."""
    with server() as url, page(tmp_path, "smoke.py") as at:
        form = {"user_count": "1", "spawn_rate": "1", "host": url, "run_time": ""}
        assert plain_http.post(f"{at}/swarm", data=form, trust_env=False).json()["success"]
        wait_for(lambda: _count(f"{at}/stats/requests") > 0)


def test_the_web_page_says_why_a_load_was_not_sent(tmp_path: Path) -> None:
    """Without a host nothing was prepared, so nothing is cleaned up; the reason stands on the page."""
    with page(tmp_path, "quotas.py") as at:
        plain_http.post(f"{at}/swarm", data={"user_count": "1", "spawn_rate": "1"}, trust_env=False)
        wait_for(lambda: "the load has no server" in plain_http.get(f"{at}/exceptions", trust_env=False).text)
    printed = (tmp_path / "locust.err").read_text()
    assert "AttributeError" not in printed
    assert "Traceback" not in printed


def test_a_load_without_a_server_is_refused(tmp_path: Path) -> None:
    """In one line, before it starts."""
    options = ("-f", str(ROOT / "locustfiles" / "quotas.py"), "--headless", "-t", "2s")
    done = subprocess.run(
        (sys.executable, "-m", "locust", *options),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 4
    assert "the load has no server; add e.g. --host http://127.0.0.1:8711" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("file", ["quotas.py", "protection.py"])
def test_a_wrong_token_is_named(file: str, tmp_path: Path) -> None:
    """In one line, with the variable to set."""
    with server(status=401) as url:
        done = locust(file, url, "-t", "2s", cwd=tmp_path, GAIA_ADMIN_TOKEN="wrong-canary-token")
    assert done.returncode == 8
    assert "the admin token is missing or wrong; export the server's ADMIN_TOKEN as GAIA_ADMIN_TOKEN" in done.stderr
    assert "Traceback" not in done.stderr
    assert "wrong-canary" not in done.stdout + done.stderr


def _count(url: str) -> int:
    try:
        return int(json.loads(plain_http.get(url, trust_env=False).text)["stats"][-1]["num_requests"])
    except (httpx.TransportError, ValueError, KeyError, IndexError):
        return 0
