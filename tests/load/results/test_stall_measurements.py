"""Tests of the assignment of machine stalls to the blocks of a load."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gaia_checks import jsonl
from gaia_checks.load.results.stall_measurements import TIMELINE, Stalls, lateness_ms, per_block

BLOCKS = [[0, 10], [10, 20], [20, 25]]


def second(end_s: float, *stalls: Sequence[float]) -> dict[str, Any]:
    """Return a record of the observer."""
    return {"monotonic_s": end_s, "seconds": 1.0, "stalls": [list(each) for each in stalls]}


@pytest.mark.parametrize(
    ("stalls", "blocks"),
    [
        ([], [0, 0, 0]),
        ([(3.0, 0.5)], [0.5, 0, 0]),
        ([(3.0, 0.5), (12.0, 0.2)], [0.5, 0.2, 0]),
        ([(9.5, 0.5)], [0.25, 0.25, 0]),  # half of it is caught up with in the next block
        ([(9.0, 2.0)], [0.5, 1.5, 0]),
        ([(-0.2, 0.3)], [0.2, 0, 0]),  # it began before the load
        ([(24.5, 0.5)], [0, 0, 0.25]),
    ],
)
def test_a_stall_counts_during_and_after_it(stalls: list[tuple[float, float]], blocks: list[float]) -> None:
    """A stall spans twice its length at half its weight; the parts within the load add up to its length."""
    assert per_block(stalls, BLOCKS) == pytest.approx(blocks)


def test_a_measurement_covers_the_time_of_the_load(tmp_path: Path) -> None:
    """The load started at 1000 s of the machine's clock; stalls before and after it do not count."""
    (tmp_path / "timelines").mkdir()
    for end_s in range(990, 1040):
        stalls = {1003: [(1002.5, 0.4)], 1012: [(1011.1, 0.1)], 995: [(994.2, 0.6)], 1030: [(1029.0, 0.9)]}
        jsonl.append(tmp_path / TIMELINE, second(end_s, *stalls.get(end_s, [])))
    result = {"started_s": 1000.0, "window_s": 25.0, "block_spans": BLOCKS}
    measured = Stalls(tmp_path).measurement("load", result)
    assert (measured.name, measured.n, measured.window_s) == ("load.machine_stalls", 25, 25.0)
    assert measured.value == {"block_s": 10, "stalled_s": [0.4, 0.1, 0.0], "stalls": 2, "longest_s": 0.4}


def test_without_an_observer_or_a_start_nothing_is_measured(tmp_path: Path) -> None:
    """Without an observer, or with workers on other machines, there is no measurement."""
    result = {"started_s": 1000.0, "window_s": 25.0, "block_spans": BLOCKS}
    assert Stalls(tmp_path).measurement("load", result).n == 0
    (tmp_path / "timelines").mkdir()
    jsonl.append(tmp_path / TIMELINE, second(1001, (1000.5, 0.4)))
    assert Stalls(tmp_path).measurement("load", {**result, "started_s": None}).n == 0
    assert Stalls(tmp_path).measurement("load", result).n == 1


@pytest.mark.parametrize(("end_s", "behind"), [(1024.0, True), (1025.0, False), (1026.0, False)])
def test_a_load_waits_until_the_observer_has_come_as_far(tmp_path: Path, end_s: float, behind: bool) -> None:
    """An observer that has not reported on the last seconds of the load is behind."""
    result = {"started_s": 1000.0, "window_s": 25.0, "block_spans": BLOCKS}
    assert not Stalls(tmp_path).behind(result)
    (tmp_path / "timelines").mkdir()
    jsonl.append(tmp_path / TIMELINE, second(end_s))
    assert Stalls(tmp_path).behind(result) is behind


@pytest.mark.parametrize(
    ("stalls", "p99_ms"),
    [
        ([], 0),
        ([0.05], 0),  # 50 ms of 10 s are less than 1 %
        ([0.2], 100),  # of 200 ms the later half is 1 % of 10 s
        ([1.0], 900),
        ([0.1] * 10, 90),
        ([1.0, 0.05], 900),
    ],
)
def test_how_late_anything_would_have_been(stalls: list[float], p99_ms: float) -> None:
    """Work due in a stall waits for its end; 1 % of 10 s is 100 ms."""
    records = [{"seconds": 5.0, "stalls": [(1.0, length) for length in stalls]}, {"seconds": 5.0, "stalls": []}]
    assert lateness_ms(records, 0.99) == pytest.approx(p99_ms)
