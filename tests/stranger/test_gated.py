"""A server by somebody else through its adapter: what applies is decided, and each of its faults is red."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gaia_checks.deploy.supervisor.spawn import free_port
from tests.support import plain_http
from tests.support.ground import ROOT, Ground, Outcome, ground, until

TOKEN = "a-token-of-sixteen"
JUDGED = {
    "dev.health", "dev.api", "dev.websocket", "qa.rate_limiting", "qa.figures", "qa.access", "qa.websocket_soak",
}  # fmt: skip
"""What it is judged by beside the load, known by its address alone."""


@contextmanager
def stranger(*faults: str) -> Iterator[str]:
    """Run the server with some faults; yield its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([sys.executable, "-m", "tests.stranger", str(port), TOKEN, *faults], cwd=ROOT)

    def answers() -> bool:
        try:
            return plain_http.get(f"{url}/health", trust_env=False).is_success
        except httpx.TransportError:
            return False

    try:
        until(answers)
        yield url
    finally:
        process.kill()  # with a WebSocket open it would wait for the client
        process.wait()


def environment_file(place: Ground, url: str, load: str = "") -> Path:
    """Write an environment file with the shipped one's contract, and more lines of [looks.load]."""
    shipped = (ROOT / "environments" / "stranger.toml").read_text()
    contract = shipped[shipped.index("[contract]") :].replace("adapters/", f"{ROOT}/environments/adapters/")
    return place.environment_file(base_url=url, tables=contract, load=load)


def gated(url: str, *options: str) -> Outcome:
    """Gate the server at `url`."""
    with ground(database="external", ADMIN_TOKEN=TOKEN) as place:
        outcome = place.gate(environment_file(place, url), "--stage=qa", "--complete", *options)
        assert (outcome.folder / "adapter.py").read_text().startswith('"""The worked example')
        return outcome


def test_a_healthy_one_is_judged_by_everything_that_applies() -> None:
    """No criterion fails; those that need neither its process, log nor database pass; the load is served."""
    with stranger() as url:
        outcome = gated(url, "-k", "not dashboard")
    assert "fail" not in outcome.states.values(), outcome.output[-3000:]
    assert {name for name, state in outcome.states.items() if state == "pass"} >= JUDGED, outcome.not_passed()
    measured = {check["measurement"]: check for each in outcome.verdict["criteria"] for check in each["checks"]}
    assert measured["load.served_of_sent"]["state"] == "pass"
    why = outcome.not_passed()["qa.identity"]
    assert why.startswith("inconclusive: who is counted as whom shows in rules of the scopes api_key, user, session; ")
    assert '"adapter.py"' in json.dumps(outcome.verdict), "the adapter is not among the sealed files"


@pytest.mark.parametrize(
    ("fault", "look", "criterion", "reason"),
    [
        ("over-admission", "limiting", "qa.rate_limiting", "admissions beyond a limit"),
        ("fails-open", "limiting", "qa.rate_limiting", "admissions beyond a limit"),
        ("forwarded-for", "limiting", "qa.rate_limiting", "admissions beyond a limit"),
        ("bare-refusals", "limiting", "qa.rate_limiting", "RateLimit-Policy is missing"),
        ("hard-coded", "limiting", "qa.rate_limiting", "RateLimit says r=1 for"),
        ("missing-route", "api", "dev.api", "GET /api/admin/quotas/usage: status 404"),
        ("open-door", "api", "dev.api", "status 200 instead of 401 or 403"),
        ("quiet-drop", "websocket_connects", "dev.websocket", "the server closed the connection after"),
        ("dead-hub", "websocket_connects", "dev.websocket", "no stats came within"),
        ("tired-hub", "websocket", "dev.websocket", "gate.websocket_after is false"),
        (
            "any-origin",
            "administrators",
            "qa.access",
            "with the token, from https://elsewhere.test: it was sent a message",
        ),
    ],
)
def test_each_fault_is_red_where_it_belongs(fault: str, look: str, criterion: str, reason: str) -> None:
    """The reason names the fault, in the contract's words."""
    with stranger(fault) as url:
        outcome = gated(url, "-k", look)
    assert outcome.states[criterion] == "fail", outcome.output[-3000:]
    checks = next(each for each in outcome.verdict["criteria"] if each["id"] == criterion)["checks"]
    assert reason in " ".join(check["why"] for check in checks), outcome.not_passed()[criterion]
