"""When each look of a gate is taken: nothing that disturbs a load runs beside it."""

import itertools

import pytest

from gaia_checks import environment
from gaia_checks.gate.run import plan
from gaia_checks.gate.run.plan import Slot
from gaia_checks.judge import criteria
from gaia_checks.judge.criteria import Looks

LOOKS = criteria.load().looks
EVERYTHING = list(LOOKS)
QUIET = {"log", "soak", "memory", "connections"}
"""Looks that only listen and read."""


def looks_of(name: str) -> Looks:
    """Return the looks of one of the environments that are shipped."""
    return criteria.load(overrides=environment.load(name).looks).looks


@pytest.mark.parametrize("name", ["local", "dev", "qa", "prod"])
def test_nothing_but_quiet_looks_runs_beside_a_load(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No probe, browser, copy or burst, no other load, and no event of the soak."""
    monkeypatch.setenv("PORT", "8080")
    slots, looks = plan.slots(looks_of(name), EVERYTHING), looks_of(name)
    for load in (slot for slot in slots if slot.look in plan.LOADS):
        beside = {other.look for other in slots if other.starts_s < load.ends_s and load.starts_s < other.ends_s}
        assert beside - {load.look} <= QUIET
        assert load.starts_s >= plan.events_end_s(looks)


def test_the_gate_ends_a_minute_after_its_longest_window() -> None:
    """Also when the load is extended as far as it may be; on a laptop within 200 s, of which starting takes some."""
    longest_s = max(table.get("max_window_s", table.get("window_s", 0)) for table in LOOKS.values())
    assert plan.longest_s(LOOKS, EVERYTHING) <= longest_s + 60
    assert plan.longest_s(looks_of("local"), EVERYTHING) <= 195


@pytest.mark.parametrize(
    ("wanted", "seconds"),
    [
        (set(), 0),
        ({"process"}, 0),
        ({"health"}, 3),
        ({"soak"}, 1800),
        ({"load"}, 304),
        ({"load", "dashboard", "rollback", "health"}, 10 + 15 + 3 + 304),
        ({"load", "protection", "limits"}, 125 + 64 + 304),
        ({"load", "soak"}, 1800),
    ],
)
def test_how_long_a_gate_takes_is_known_before(wanted: set[str], seconds: float) -> None:
    """What is recorded runs beside everything; loads follow one another, and what would disturb them goes before."""
    assert plan.expected_s(LOOKS, wanted) == seconds


def test_tests_follow_one_another_the_shortest_first() -> None:
    """As pytest runs them in one process."""
    tests = [slot for slot in plan.slots(LOOKS, EVERYTHING) if plan.before_loads(slot.look)]
    assert all(earlier.ends_s == later.starts_s for earlier, later in itertools.pairwise(tests))
    assert tests[-1].look == "rollback"


def test_the_chart_draws_each_look_over_its_time() -> None:
    """A look of no length is still seen, and what may come in addition is drawn lighter."""
    drawn = plan.chart([Slot("soak", 0, 40, 40), Slot("api", 0, 0.1, 0.1), Slot("load", 20, 30, 40)], width=20)
    assert drawn == [
        "      0 s  10 s 20 s 30 s 40 s",
        "soak  ████████████████████",
        "api   █",
        "load            █████░░░░░",
    ]


def test_nothing_to_do_draws_nothing() -> None:
    """A selection of no looks has no chart."""
    assert plan.chart(plan.slots(LOOKS, ())) == []
