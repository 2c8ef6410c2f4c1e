"""The locustfiles against the real server: what they expect is what it answers, and nothing of theirs stays."""

import os
from pathlib import Path

import pytest

from gaia_checks.load import run
from gaia_checks.model import Target
from gaia_checks.target.client import client
from gaia_checks.target.responses import CONFIG
from tests.load.processes import believed, locust, result
from tests.load.test_run import measured, percentile_ms


def rules(server: Target) -> list[str]:
    """Return the names of the rules in the server."""
    with client(server) as http:
        return [rule["rule_name"] for rule in http.get(CONFIG, params={"limit": 100}).json()["items"]]


def test_the_real_server_serves_the_quota_mix(server: Target, tmp_path: Path) -> None:
    """100 requests a second are all sent and all served, and the rule of the load is gone afterwards."""
    said: list[str] = []
    code = run.run(server, tmp_path, rate_per_s=100, window_s=4, log=said.append, cancelled=lambda: False)
    seen = measured(tmp_path)
    assert code == 0
    assert (seen["outcomes"].n, seen["outcomes"].value["failures"]) == (400, 0), seen["outcomes"].notes
    assert seen["limited"].value == 0
    assert seen["sent_of_intended"].value == 1.0
    assert seen["served_of_sent"].value == pytest.approx(1.0)
    assert 0 < percentile_ms(seen["latency"], 50) < 1000
    assert rules(server)
    assert not [name for name in rules(server) if "-load-" in name]


@pytest.mark.parametrize("engine", ["locust", "precise"])
@pytest.mark.parametrize("file", ["quotas.py", "protection.py", "smoke.py"])
def test_each_locustfile_runs_by_one_line_on_a_fresh_server(
    file: str, engine: str, server: Target, tmp_path: Path
) -> None:
    """Without a key or a rule of the user's: the load brings its own, is served, and takes them away."""
    token = {"GAIA_ADMIN_TOKEN": server.admin_token} if server.admin_token else {}
    done = locust(
        file, server.base_url, "-t", "3s", "--rate", "60", "--success", "90%", "--engine", engine, "--folder", ".",
        cwd=tmp_path, **token,
    )  # fmt: skip
    seen = result(tmp_path)
    assert seen["failed"] == 0, seen
    assert seen["limited"] == 0, seen["limited_notes"]
    assert (seen["sent"], sum(route["done"] for route in seen["routes"].values())) == (180, 180)
    assert done.returncode == (0 if believed(tmp_path) else 8), done.stderr
    assert not [name for name in rules(server) if name.startswith("gaia-load-")]


def test_floods_are_held_to_their_limits(server: Target, tmp_path: Path) -> None:
    """Ten times their limits is offered; most of it is refused, and the good clients are not."""
    token = {"GAIA_ADMIN_TOKEN": server.admin_token} if server.admin_token else {}
    done = locust("protection.py", server.base_url, "-t", "3s", "--rate", "60", "--folder", ".", cwd=tmp_path, **token)
    seen = result(tmp_path)
    assert len(seen["floods"]) == 3  # of 10 a second, each against a limit of 1 a second
    assert sum(flood["sent"] for flood in seen["floods"]) == 90
    for flood in seen["floods"]:
        assert flood["allowed"] >= 4  # an answer may come late
        assert 0 < flood["admitted"] <= flood["allowed"]
    assert (seen["done"], seen["failed"], seen["limited"]) == (90, 0, 0)
    assert done.returncode == (0 if believed(tmp_path) else 8), os.linesep + done.stderr
