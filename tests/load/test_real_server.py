"""Tests of the locustfiles against the real server: responses are valid, and no rule remains."""

import os
import re
from pathlib import Path

import pytest

from gaia_checks.load import load_run
from gaia_checks.model import Target
from gaia_checks.target.client import client
from gaia_checks.target.responses import CONFIG
from tests.load.processes import locust, reliable, result
from tests.load.test_load_run import measured, percentile_ms


def rules(server: Target) -> list[str]:
    """Return the names of the rules in the server."""
    with client(server) as http:
        return [rule["rule_name"] for rule in http.get(CONFIG, params={"limit": 100}).json()["items"]]


def test_the_real_server_serves_the_quota_mix(server: Target, tmp_path: Path) -> None:
    """All of 100 requests a second are sent and served, and the load removes its rule."""
    messages: list[str] = []
    code = load_run.run(server, tmp_path, rate_per_s=100, window_s=4, log=messages.append, cancelled=lambda: False)
    observed = measured(tmp_path)
    assert code == 0
    assert (observed["outcomes"].n, observed["outcomes"].value["failures"]) == (400, 0), observed["outcomes"].notes
    assert observed["limited"].value == 0
    assert observed["sent_of_intended"].value == 1.0
    assert observed["served_of_sent"].value == pytest.approx(1.0)
    assert 0 < percentile_ms(observed["latency"], 50) < 1000
    assert rules(server)
    assert not [name for name in rules(server) if "-load-" in name]


@pytest.mark.parametrize("engine", ["locust", "precise"])
@pytest.mark.parametrize("file", ["quotas.py", "protection.py", "smoke.py"])
def test_each_locustfile_runs_by_one_line_on_a_fresh_server(
    file: str, engine: str, server: Target, tmp_path: Path
) -> None:
    """Without a key the load creates its own key and rule, is served, and removes the rule."""
    token = {"GAIA_ADMIN_TOKEN": server.admin_token} if server.admin_token else {}
    done = locust(
        file, server.base_url, "-t", "3s", "--rate", "60", "--success", "90%", "--engine", engine, "--folder", ".",
        cwd=tmp_path, **token,
    )  # fmt: skip
    observed = result(tmp_path)
    assert observed["failed"] == 0, observed
    assert observed["limited"] == 0, observed["limited_notes"]
    assert (observed["sent"], sum(route["done"] for route in observed["routes"].values())) == (180, 180)
    assert done.returncode == (0 if reliable(tmp_path) else 8), done.stderr
    assert not [name for name in rules(server) if re.match(r"client-[0-9a-f]{12}-", name)]


def test_floods_are_limited(server: Target, tmp_path: Path) -> None:
    """Floods at ten times their limits are mostly refused, well-behaved clients are not."""
    token = {"GAIA_ADMIN_TOKEN": server.admin_token} if server.admin_token else {}
    done = locust("protection.py", server.base_url, "-t", "3s", "--rate", "60", "--folder", ".", cwd=tmp_path, **token)
    observed = result(tmp_path)
    assert len(observed["floods"]) == 3  # of 10 a second, each against a limit of 1 a second
    assert sum(flood["sent"] for flood in observed["floods"]) == 90
    for flood in observed["floods"]:
        assert flood["allowed"] >= 4  # a response may arrive late
        assert 0 < flood["admitted"] <= flood["allowed"]
    assert (observed["done"], observed["failed"], observed["limited"]) == (90, 0, 0)
    assert done.returncode == (0 if reliable(tmp_path) else 8), os.linesep + done.stderr
