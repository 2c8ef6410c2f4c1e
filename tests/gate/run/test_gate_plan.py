"""The schedule of a gate's looks: none that disturbs a load runs in parallel."""

import itertools

import pytest

from gaia_checks.environment import environment_file
from gaia_checks.gate.run import gate_plan
from gaia_checks.gate.run.gate_plan import Slot
from gaia_checks.judge import criteria_file
from gaia_checks.judge.criteria_file import Looks

LOOKS = criteria_file.load().looks
EVERYTHING = list(LOOKS)
QUIET = {"log", "soak", "memory", "connections", "instances"}
"""Looks that only listen and read."""


def looks_of(name: str) -> Looks:
    """Return the looks of one of the shipped environments."""
    return criteria_file.load(overrides=environment_file.load(name).looks).looks


@pytest.mark.parametrize("name", ["local", "dev", "qa", "prod"])
def test_only_quiet_looks_run_in_parallel_to_a_load_or_comparison(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No probe, browser, rehearsal copy, burst, other load or event of the soak runs during a load."""
    monkeypatch.setenv("PORT", "8080")
    slots, looks = gate_plan.slots(looks_of(name), EVERYTHING), looks_of(name)
    for load in (slot for slot in slots if slot.look in gate_plan.IN_TURN):
        beside = {other.look for other in slots if other.starts_s < load.ends_s and load.starts_s < other.ends_s}
        assert beside - {load.look} <= QUIET
        assert load.starts_s >= gate_plan.events_end_s(looks, EVERYTHING)


def test_the_gate_ends_a_minute_after_its_longest_window() -> None:
    """This includes the longest extension of the load; on a laptop, one server, it is 200 s, including the start.

    There, a comparison is made only where the gate has deployed another release before.
    """
    longest_s = max(table.get("max_window_s", table.get("window_s", 0)) for table in LOOKS.values())
    assert gate_plan.longest_s(LOOKS, EVERYTHING) <= longest_s + 60
    local, one = looks_of("local"), set(EVERYTHING) - {"instances"}
    assert gate_plan.longest_s(local, one - {gate_plan.COMPARISON}) <= 195
    assert gate_plan.expected_s(local, one) <= 195


@pytest.mark.parametrize(
    ("wanted", "seconds"),
    [
        (set(), 0),
        ({"process"}, 0),
        ({"health"}, 2),
        ({"soak"}, 1800),
        ({"load"}, 304),
        ({"load", "dashboard", "rollback", "health"}, 6 + 13 + 2 + 304),
        ({"load", "protection", "limits"}, 1.5 + 125 + 64 + 304 + 1.5),
        ({"load", "soak"}, 1800),
        ({"no_regression", "load", "health"}, 2 + 18 + 304),
        ({"load", "instances"}, 1800),
    ],
)
def test_the_duration_of_a_gate_is_known_in_advance(wanted: set[str], seconds: float) -> None:
    """Recorders run in parallel; loads follow one another, after the looks that would disturb them."""
    assert gate_plan.expected_s(LOOKS, wanted) == seconds


def test_tests_follow_one_another_the_shortest_first() -> None:
    """The schedule is that of pytest in one process."""
    slots = [slot for slot in gate_plan.slots(LOOKS, EVERYTHING)[1:-1] if gate_plan.before_loads(slot.look)]
    tests = [slot for slot in slots if slot.look not in gate_plan.BESIDE]
    assert all(earlier.ends_s == later.starts_s for earlier, later in itertools.pairwise(tests))
    assert tests[-1].look == "rollback"


def test_a_look_beside_the_tests_takes_no_time_of_theirs() -> None:
    """It starts with them, and a load waits for it, but not longer than for them."""
    (slot,) = gate_plan.slots(LOOKS, {"outage"})
    assert slot.starts_s == 0
    assert gate_plan.loads_start_s(LOOKS, {"outage", "health"}) == slot.ends_s
    everything = gate_plan.loads_start_s(LOOKS, EVERYTHING)
    assert everything == gate_plan.loads_start_s(LOOKS, set(EVERYTHING) - set(gate_plan.BESIDE))


def test_the_upkeep_is_taken_for_the_looks_that_need_it() -> None:
    """No look of its own name asks for it."""
    assert gate_plan.beside(gate_plan.BESIDE, {"database", "outage"}) == ["upkeep", "outage"]
    assert gate_plan.beside(gate_plan.BESIDE, {"outage", "log"}) == ["outage"]


def test_looks_of_a_lane_follow_one_another() -> None:
    """A thread takes them, beside those of the other lanes."""
    slots = {slot.look: slot for slot in gate_plan.slots(LOOKS, gate_plan.BESIDE)}
    assert list(slots) == list(gate_plan.BESIDE)
    for first, *rest in gate_plan.LANES:
        assert slots[first].starts_s == 0
        assert all(slots[a].ends_s == slots[b].starts_s for a, b in itertools.pairwise((first, *rest)))


def test_a_client_that_nothing_announces_comes_first_and_last() -> None:
    """Nothing runs beside it, and it ends within 3 s; where no limit is judged, it does not come."""
    before, *slots, after = gate_plan.slots(LOOKS, EVERYTHING)
    assert (before.look, after.look) == (gate_plan.UNANNOUNCED, gate_plan.UNANNOUNCED)
    assert before.starts_s == 0
    assert before.ends_s == min(slot.starts_s for slot in slots)
    assert after.starts_s == max(slot.ends_s for slot in slots)
    assert after.longest_s - max(slot.longest_s for slot in slots) == before.ends_s <= 3
    assert gate_plan.UNANNOUNCED not in {slot.look for slot in gate_plan.slots(LOOKS, {"load", "soak"})}


def test_the_chart_draws_each_look_over_its_time() -> None:
    """A very short look is visible, and a possible extension is drawn lighter."""
    drawn = gate_plan.chart([Slot("soak", 0, 40, 40), Slot("api", 0, 0.1, 0.1), Slot("load", 20, 30, 40)], width=20)
    assert drawn == [
        "      0 s  10 s 20 s 30 s 40 s",
        "soak  ████████████████████",
        "api   █",
        "load            █████░░░░░",
    ]


def test_nothing_to_do_draws_nothing() -> None:
    """A selection of no looks has no chart."""
    assert gate_plan.chart(gate_plan.slots(LOOKS, ())) == []
