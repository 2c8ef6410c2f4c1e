"""The best case of a growing sample: what a flawless rest until the next analysis would make of it."""

from dataclasses import replace
from typing import Any

import pytest

from gaia_checks.judge import statistics
from gaia_checks.judge.growing import at_best, judged_next_s
from gaia_checks.load.results.histogram import Histogram
from gaia_checks.model import Check, Criterion, Measurement

CHECKS = (
    Check("load.outcomes", "proportion", 0.9995, "ratio", explained_by="load.machine_stalls"),
    Check("load.latency", "percentile", 100, "ms", percentile=99),
    Check("load.answered", "at_least", 0.999, "ratio"),
    Check("load.cpu", "at_most", 0.4, "ratio"),
)
LOAD = Criterion("prod.thing", "It works", "load", 60, 120, (60, 85, 120), CHECKS)


def measured(name: str, value: Any, n: int = 400, window_s: float = 40) -> Measurement:
    """Make a measurement of the first 40 s of a minute."""
    return Measurement(name, value, "", n, window_s, "2026-02-26T10:00:00.000Z", "measured")


def histogram(count: int) -> str:
    """Encode requests of 200 ms."""
    made = Histogram()
    for _ in range(count):
        made.record(0.2)
    return made.encode()


def test_later_requests_succeed() -> None:
    """20 s more at the same rate are 200 requests, in blocks of 10 s."""
    finished = at_best(measured("load.outcomes", {"failures": 5, "blocks": [[400, 5]]}), LOAD)
    assert finished == measured("load.outcomes", {"failures": 5, "blocks": [[400, 5], [100, 0], [100, 0]]}, 600, 60)


@pytest.mark.parametrize(
    ("n", "window_s", "more"),
    [(298, 36, [[100, 0], [99, 0]]), (354, 59, [[6, 0]]), (450, 45, [[75, 0], [75, 0]])],
)
def test_what_does_not_divide_evenly_comes_first(n: int, window_s: float, more: list[list[int]]) -> None:
    """The same rate, rounded up, in the nearest number of blocks, at least one."""
    finished = at_best(measured("load.outcomes", {"failures": 0, "blocks": [[n, 0]]}, n, window_s), LOAD)
    assert finished.value["blocks"] == [[n, 0], *more]
    assert finished.n == n + sum(count for count, _ in more)


@pytest.mark.parametrize("whole", [True, False])
def test_later_latencies_are_the_shortest(whole: bool) -> None:
    """A single histogram becomes the first block; each added block has requests of 1 us."""
    text = histogram(400)
    finished = at_best(measured("load.latency", text if whole else [text]), LOAD)
    assert finished.value[0] == text
    added = [statistics.decode(each) for each in finished.value[1:]]
    assert [each.get_total_count() for each in added] == [100, 100]
    assert {each.get_max_value() for each in added} == {1}


def test_a_share_rises_by_what_is_to_come() -> None:
    """Of 400, 1 % is missing: of 600 two thirds of that."""
    finished = at_best(measured("load.answered", 0.99), LOAD)
    assert (finished.value, finished.n, finished.window_s) == (pytest.approx(1 - 4 / 600), 600, 60)


def test_stalls_last_until_the_next_analysis() -> None:
    """They are judged with the sample that they explain: only their window grows."""
    stalls = measured("load.machine_stalls", {"stalled_s": [0.1]})
    assert at_best(stalls, LOAD) == replace(stalls, window_s=60)


@pytest.mark.parametrize(
    "unchanged",
    [
        measured("load.cpu", 0.5),  # its rule judges no growing sample
        measured("load.other", 0.5),  # no check is about it
        measured("load.answered", 0.9, n=0),
        measured("load.answered", 0.9, window_s=0),
        measured("load.answered", 0.9, window_s=60),  # it is judged now
        measured("load.answered", 0.9, window_s=120),
        measured("load.answered", 0.9, window_s=130),  # no analysis follows
    ],
)
def test_what_does_not_grow_is_returned_as_it_is(unchanged: Measurement) -> None:
    """The same object, by which a caller recognises a failure that is certain."""
    assert at_best(unchanged, LOAD) is unchanged


def test_a_single_request_grows_too() -> None:
    """One request in 59.5 s is one more until the end."""
    assert at_best(measured("load.answered", 0.0, n=1, window_s=59.5), LOAD).n == 2


@pytest.mark.parametrize(("window_s", "next_s"), [(0, 60), (60, 60), (61, 85), (120, 120), (130, 130)])
def test_the_next_analysis_is_the_first_that_is_not_past(window_s: float, next_s: float) -> None:
    """After the last, a sample is judged as it is."""
    assert judged_next_s(window_s, LOAD.looks_s) == next_s
