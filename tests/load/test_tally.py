"""The tally: every arrival is counted once, and what each number means."""

import pytest

from gaia_checks.judge import statistics
from gaia_checks.load.resources import Shares
from gaia_checks.load.tally import Arrival, Tally

CALM = Shares(0.05, 0.0, 0.01)


def tally(*arrivals: Arrival, window_s: float = 60) -> Tally:
    """Count some arrivals."""
    made = Tally(window_s)
    for arrival in arrivals:
        made.intend()
        made.send(arrival.due_s, arrival.begun_s)
        made.end(arrival)
    return made


def arrival(due_s: float, took_s: float = 0.002, problem: str | None = None, *, answered: bool = True) -> Arrival:
    """Make an arrival that left on time."""
    return Arrival(due_s, due_s, due_s + took_s, problem, answered)


def test_latency_counts_from_when_it_was_due() -> None:
    """A request that left half a second late and took 2 ms has a latency of 502 ms."""
    late = Arrival(1.0, 1.5, 1.502, None, answered=True)
    result = tally(late).result()
    assert late.latency_s == pytest.approx(0.502)
    assert (result["late"], result["served"]) == (1, 1)
    assert result["lateness_p99_ms"] == pytest.approx(500, rel=1e-3)


def test_a_refused_connection_is_no_quick_answer() -> None:
    """What was never answered counts as the time limit in the latency."""
    result = tally(*(arrival(index / 100, 0.0001, "refused", answered=False) for index in range(400))).result()
    lower, _ = statistics.percentile_bounds(statistics.decode(result["latency"]), 99, 0.05)
    assert lower == pytest.approx(10_000, rel=1e-3)


@pytest.mark.parametrize(("took_s", "served"), [(0.5, 1), (1.5, 0)])
def test_served_means_answered_within_a_second_of_the_windows_end(took_s: float, served: int) -> None:
    """An answer that comes later is a backlog that the window has hidden."""
    assert tally(arrival(59.999, took_s)).result()["served"] == served


def test_blocks_hold_requests_and_failures_by_when_they_were_due() -> None:
    """Ten seconds each, and a failure belongs to the stall in which it was sent."""
    result = tally(arrival(1), arrival(9.9, 5, "no"), arrival(25), arrival(29, problem="bad")).result()
    assert result["blocks"] == [[2, 1], [2, 1]]
    assert result["failed"] == 2


def test_our_own_fault_is_not_a_request_that_was_sent() -> None:
    """It counts as an error of the generator and as neither sent nor failed."""
    made = tally(arrival(0))
    made.intend()
    made.send(0.5, 0.5)
    made.break_down(0.5, "OSError(24, 'Too many open files')")
    result = made.result()
    assert {name: result[name] for name in ("intended", "sent", "done", "failed", "generator_errors")} == {
        "intended": 2, "sent": 1, "done": 1, "failed": 0, "generator_errors": 1,
    }  # fmt: skip
    assert result["generator_notes"] == ["OSError(24, 'Too many open files'), due at 0.50 s"]


def test_what_a_limit_refused_is_named_apart() -> None:
    """The notes about limits are not lost behind others."""
    others = [arrival(index, problem="bad") for index in range(9)]
    result = tally(*others, Arrival(9, 9, 9.1, "429", answered=True, limited=True)).result()
    assert (result["limited"], result["limited_notes"]) == (1, ["429, due at 9.00 s"])
    assert len(result["notes"]) == 5


def test_a_second_closes_and_the_next_begins_empty() -> None:
    """Counts and latencies of a second are its own; the worst is of all so far."""
    made = tally(*(arrival(index / 100, 0.001 * (index + 1)) for index in range(100)))
    record, interval = made.second(1.0, CALM)
    empty, _ = made.second(2.0, CALM)
    assert (record["done"], record["p50_ms"], record["p99_ms"], record["max_ms"]) == (100, 51, 100, 100)
    assert interval.get_total_count() == 100
    assert (empty["done"], empty["p99_ms"]) == (0, None)
    assert record["worst"] == empty["worst"] == "p99 99.0 ms, 0 failed"


def test_the_progress_ends_at_the_window() -> None:
    """Answers that come after the window do not make it longer."""
    record, _ = tally(arrival(59)).second(64.2, CALM)
    assert (record["t"], record["of"]) == (60, 60)


def test_shares_are_told_by_their_95th_percentile() -> None:
    """One bad second in twenty is forgiven, two are not."""
    made = Tally(20)
    for second in range(20):
        made.second(second, Shares(0.9 if second < 2 else 0.1, 0, 0.3 if second < 1 else 0.0))
    result = made.result()
    assert (result["cpu_p95"], result["waited_p95"], result["seconds"]) == (0.9, 0.0, 20)
