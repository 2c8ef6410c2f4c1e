"""A gate that can no longer pass stops early and names what it did not measure; --complete continues."""

import time
from collections.abc import Iterator

import pytest

from tests.faults import breaking
from tests.faults.place import Looks, Place, place
from tests.faults.table import SHORT
from tests.faults.wrong import Answered
from tests.support.ground import Outcome

LONG: Looks = {**SHORT, "soak": {"window_s": 600}, "memory": {"window_s": 600}, "connections": {"window_s": 600}}


@pytest.fixture(scope="module")
def failing() -> Iterator[Place]:
    """Start a server that has written an error into its log."""
    with place() as made, breaking.saying('{"level": "error", "msg": "seeded"}')(made):
        made.gate(SHORT, "-k", "health")  # any request makes it write the line
        yield made


def timed_gate(place: Place, looks: Looks, *options: str) -> tuple[Outcome, float]:
    """Run a gate with these looks; return its outcome and its duration in seconds."""
    started_s = time.monotonic()
    outcome = place.gate(looks, "--stage=qa", "-k", "log or soak or websocket or load or health", *options)
    return outcome, time.monotonic() - started_s


@pytest.mark.parametrize("workers", [(), ("-n", "4")])
def test_a_certain_failure_ends_the_gate(failing: Place, workers: tuple[str, ...]) -> None:
    """It fails in seconds although a window is ten minutes; stopped looks are reported and do not pass."""
    outcome, took_s = timed_gate(failing, LONG, *workers)
    assert outcome.code == 1, outcome.output
    assert took_s < 60
    assert outcome.states["dev.log"] == "fail"
    why = outcome.not_passed()["qa.websocket_soak"]
    assert why == ("inconclusive: stopped early: dev.log has certainly failed; --complete measures everything anyway")
    assert "qa.websocket_soak: stopped early: dev.log" in outcome.output


def test_complete_measures_everything(failing: Place) -> None:
    """With --complete the failure stays, and all other looks run to their ends."""
    outcome, _ = timed_gate(failing, SHORT, "--complete")
    assert outcome.code == 1, outcome.output
    assert outcome.states["dev.log"] == "fail"
    assert "stopped early" not in outcome.output
    assert outcome.states["qa.websocket_soak"] in ("pass", "inconclusive")
    soak = next(each for each in outcome.verdict["criteria"] if each["id"] == "qa.websocket_soak")
    assert all(check["n"] > 0 for check in soak["checks"])


@pytest.mark.alone
def test_a_failure_of_the_load_is_certain_before_its_end(failing: Place) -> None:
    """If a route answers 500 the load stops in seconds and is judged, now and again, on the requests sent."""
    looks = {**SHORT, "load": {"window_s": 600, "max_window_s": 600}}
    started_s = time.monotonic()
    with failing.switch.on(Answered(request="GET /api/admin/quotas/analytics", status=500)):
        outcome = failing.gate(looks, "--stage=qa", "-k", "load or health")
    took_s = time.monotonic() - started_s
    assert outcome.code == 1, outcome.output
    assert took_s < 60
    assert outcome.states["qa.load"] == "fail"
    again = failing.ground.run("gaia_checks.cli", "verdict", "show", str(outcome.folder))
    assert again.returncode == 1, again.stdout + again.stderr
