"""A gate that is lost ends early, and says what it did not look at; --complete goes on."""

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
def lost() -> Iterator[Place]:
    """A server that has written an error into its log."""
    with place() as made, breaking.saying('{"level": "error", "msg": "seeded"}')(made):
        made.gate(SHORT, "-k", "health")  # any request makes it write the line
        yield made


def looked_for(place: Place, looks: Looks, *options: str) -> tuple[Outcome, float]:
    """Gate with these looks; return how it ended and after how many seconds."""
    began = time.monotonic()
    outcome = place.gate(looks, "--stage=qa", "-k", "log or soak or websocket or load or health", *options)
    return outcome, time.monotonic() - began


@pytest.mark.parametrize("workers", [(), ("-n", "4")])
def test_a_certain_failure_ends_the_gate(lost: Place, workers: tuple[str, ...]) -> None:
    """Red in seconds although a window is ten minutes; what was cut is named, and is no pass."""
    outcome, took_s = looked_for(lost, LONG, *workers)
    assert outcome.code == 1, outcome.output
    assert took_s < 60
    assert outcome.states["dev.log"] == "fail"
    why = outcome.not_passed()["qa.websocket_soak"]
    assert why == (
        "inconclusive: cut short, as dev.log has certainly failed; --complete measures everything all the same"
    )
    assert "qa.websocket_soak: cut short, as dev.log" in outcome.output


def test_a_gate_may_be_told_to_look_at_everything(lost: Place) -> None:
    """With --complete the failure stays one, and all others are looked at to their ends."""
    outcome, _ = looked_for(lost, SHORT, "--complete")
    assert outcome.code == 1, outcome.output
    assert outcome.states["dev.log"] == "fail"
    assert "cut short" not in outcome.output
    assert outcome.states["qa.websocket_soak"] in ("pass", "inconclusive")
    soak = next(each for each in outcome.verdict["criteria"] if each["id"] == "qa.websocket_soak")
    assert all(check["n"] > 0 for check in soak["checks"])


@pytest.mark.alone
def test_a_failure_of_the_load_is_certain_before_its_end(lost: Place) -> None:
    """A route answers 500: the load is over in seconds, judged on what it has sent, and can be judged again."""
    looks = {**SHORT, "load": {"window_s": 600, "max_window_s": 600}}
    began = time.monotonic()
    with lost.switch.on(Answered(request="GET /api/admin/quotas/analytics", status=500)):
        outcome = lost.gate(looks, "--stage=qa", "-k", "load or health")
    took_s = time.monotonic() - began
    assert outcome.code == 1, outcome.output
    assert took_s < 60
    assert outcome.states["qa.load"] == "fail"
    again = lost.ground.run("gaia_checks.cli", "verdict", str(outcome.folder))
    assert again.returncode == 1, again.stdout + again.stderr
