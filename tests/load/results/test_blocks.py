"""Tests of the blocks: encoding loses nothing, and looks end at their times."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gaia_checks.load.results.aggregate import Total
from gaia_checks.load.results.blocks import Blocks
from gaia_checks.load.results.generator_usage import Shares
from gaia_checks.load.results.per_second import Arrival, SecondCounter

CALM = Shares(0.05, 0.0, 0.01)
LOOKS_S = (25, 60)


def tally(*due_s: float, took_s: float = 0.01, failed: bool = False) -> SecondCounter:
    """Count arrivals of a load of 100 s with looks after 25 and 60."""
    made = SecondCounter(100, LOOKS_S)
    for moment_s in due_s:
        made.intend()
        made.send(moment_s, moment_s)
        made.end(Arrival(moment_s, moment_s, moment_s + took_s, "no" if failed else None, answered=True))
    return made


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(0, 99.9), max_size=5), max_size=20))
def test_encoded_blocks_are_still_counted(seconds: list[list[float]]) -> None:
    """Every request is counted in the block of its due time, with its latency, in any order of responses."""
    blocks = Blocks()
    for due_s in seconds:
        blocks.add(tally(*due_s).close(0, 0, CALM).blocks)
    due = sorted(moment_s for due_s in seconds for moment_s in due_s)
    for look, end_s in enumerate((*LOOKS_S, 100)):
        known = blocks.until(look)
        assert known["done"] == known["served"] == sum(moment_s < end_s for moment_s in due)
        assert sum(requests for requests, _ in known["blocks"]) == known["done"]
        assert len(known["latency_blocks"]) == len(known["blocks"])


def test_a_look_ends_in_the_middle_of_a_stretch() -> None:
    """Requests due before 25 s belong to the first look, the rest of that block to the second."""
    blocks = Blocks()
    blocks.add(tally(5, 21, 22, 24.99, 25, 29, 31, 60).close(0, 0, CALM).blocks)
    assert blocks.until(0)["blocks"] == [[1, 0], [3, 0]]
    assert blocks.until(1)["blocks"] == [[1, 0], [3, 0], [2, 0], [1, 0]]
    assert blocks.until(2)["blocks"] == [[1, 0], [3, 0], [2, 0], [1, 0], [1, 0]]


def test_served_means_within_a_second_of_the_looks_end() -> None:
    """A backlog at the end of a look counts as not served, although the load continues."""
    total = Total(100, looks_s=LOOKS_S)
    total.add(tally(10, 20, took_s=2).close(0, 40, CALM))
    total.add(tally(24, took_s=3).close(1, 41, CALM))
    first = total.look(0)
    assert (first["done"], first["served"], first["served_of"], first["window_s"]) == (3, 2, 3, 25)


def test_a_look_is_answered_once_all_that_was_due_has_ended() -> None:
    """Nobody waits for a time limit that no request needs; a request still out is waited for."""
    total = Total(100, looks_s=LOOKS_S, due_by_looks=(3, 5))
    total.add(tally(5, 20, 25.001).close(0, 25.002, CALM))  # a second that ends after the look
    assert not total.is_answered(0)
    total.add(tally(24.9).close(1, 26, CALM))
    assert total.is_answered(0)
    assert not total.is_answered(1)


def test_the_progress_is_relative_to_the_next_look() -> None:
    """A look is complete as soon as its requests have finished."""
    total = Total(100, looks_s=LOOKS_S)
    ends = [total.add(tally().close(number, end_s, CALM))["of"] for number, end_s in enumerate((1, 25, 59.9, 60, 99))]
    assert ends == [25, 60, 60, 100, 100]
