"""Tests of the tally: every arrival counts once, each number has its meaning, parts add up to the whole."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaia_checks.judge import statistics
from gaia_checks.load.results.aggregate import Merge, Total
from gaia_checks.load.results.generator_usage import Shares
from gaia_checks.load.results.histogram import Histogram
from gaia_checks.load.results.per_second import Arrival, Second, SecondCounter

CALM = Shares(0.05, 0.0, 0.01)


def tally(*arrivals: Arrival, window_s: float = 60) -> SecondCounter:
    """Return a tally of some arrivals."""
    made = SecondCounter(window_s)
    for arrival in arrivals:
        made.intend()
        made.send(arrival.due_s, arrival.sent_s)
        made.end(arrival)
    return made


def result(made: SecondCounter, window_s: float = 60, **floods: float) -> dict[str, Any]:
    """Return the result of a tally of one second."""
    total = Total(window_s, floods=floods)
    total.add(made.close(0, window_s, CALM, last=True))
    return total.result()


def arrival(due_s: float, took_s: float = 0.002, problem: str | None = None, *, answered: bool = True) -> Arrival:
    """Return an arrival that was sent on time."""
    return Arrival(due_s, due_s, due_s + took_s, problem, answered)


def test_latency_counts_from_when_it_was_due() -> None:
    """A request sent half a second late that takes 2 ms has a latency of 502 ms and a service time of 2 ms."""
    late = Arrival(1.0, 1.5, 1.502, None, answered=True)
    observed = result(tally(late))
    assert late.latency_s == pytest.approx(0.502)
    assert (observed["late"], observed["served"]) == (1, 1)
    assert observed["lateness_p99_ms"] == pytest.approx(500, rel=1e-3)
    assert observed["lateness_max_ms"] == pytest.approx(500, rel=1e-3)
    assert Histogram.decode(observed["service"]).percentile_ms(50) == pytest.approx(2, rel=1e-2)


def test_a_refused_connection_is_no_quick_answer() -> None:
    """A request without a response has the time limit as its latency."""
    observed = result(tally(*(arrival(index / 100, 0.0001, "refused", answered=False) for index in range(400))))
    latencies = statistics.Latencies([statistics.decode(observed["latency"])])
    assert latencies.bounds_ms(99, (0.05, 0.05))[0] == pytest.approx(10_000, rel=1e-3)


@pytest.mark.parametrize(("took_s", "served"), [(0.5, 1), (1.5, 0)])
def test_served_means_answered_within_a_second_of_the_windows_end(took_s: float, served: int) -> None:
    """A response more than 1 s after the window is a backlog and does not count as served."""
    assert result(tally(arrival(59.999, took_s)))["served"] == served


def test_blocks_hold_requests_and_failures_by_when_they_were_due() -> None:
    """Blocks last ten seconds, and a failure belongs to the block of its due time."""
    observed = result(tally(arrival(1), arrival(9.9, 5, "no"), arrival(25), arrival(29, problem="bad")))
    assert observed["blocks"] == [[2, 1], [2, 1]]
    assert observed["failed"] == 2


def test_our_own_fault_is_not_a_request_that_was_sent() -> None:
    """A fault of the generator counts as its error, and as neither sent nor failed."""
    made = tally(arrival(0))
    made.intend()
    made.send(0.5, 0.5)
    made.break_down(0.5, "OSError(24, 'Too many open files')")
    observed = result(made)
    assert {name: observed[name] for name in ("intended", "sent", "unsent", "done", "failed", "generator_errors")} == {
        "intended": 2, "sent": 1, "unsent": 1, "done": 1, "failed": 0, "generator_errors": 1,
    }  # fmt: skip
    assert observed["generator_notes"] == ["OSError(24, 'Too many open files'), due at 0.50 s"]


def test_refusals_by_a_limit_are_noted_separately() -> None:
    """Notes about limits are stored separately from others."""
    others = [arrival(index, problem="bad") for index in range(9)]
    observed = result(tally(*others, Arrival(9, 9, 9.1, "429", answered=True, limited=True)))
    assert (observed["limited"], observed["limited_notes"]) == (1, ["429, due at 9.00 s"])
    assert len(observed["notes"]) == 5


def test_a_flood_is_measured_apart() -> None:
    """Floods are excluded from outcomes and latency; their admissions are reported."""
    flood = [Arrival(i, i, i + 9, None, answered=True, limited=i > 2, route="GET /f", flood=True) for i in range(10)]
    observed = result(tally(arrival(0), *flood), **{"GET /f": 0.1})
    assert (observed["sent"], observed["done"], observed["limited"], observed["blocks"]) == (11, 1, 0, [[1, 0]])
    assert statistics.decode(observed["latency"]).get_total_count() == 1
    assert observed["floods"] == [{"route": "GET /f", "sent": 10, "admitted": 3, "allowed": pytest.approx(6.1)}]
    assert (observed["routes"]["GET /f"]["done"], observed["routes"]["GET /f"]["limited"]) == (10, 7)


def test_a_flood_that_fails_is_not_admitted() -> None:
    """Without its database a server answers 503: it lets nothing pass, however badly it refuses."""
    outcomes = ((None, False), ("status 503", False), (None, True), ("not JSON", True))  # problem, limited
    flood = [
        Arrival(0, 0, 1, problem, answered=True, limited=limited, route="GET /f", flood=True)
        for problem, limited in outcomes
    ]
    [observed] = result(tally(*flood), **{"GET /f": 0.1})["floods"]
    assert (observed["sent"], observed["admitted"]) == (4, 1)


def test_each_second_starts_empty() -> None:
    """A record has the counts and latencies of its second; `worst` covers all seconds so far."""
    made = tally(*(arrival(index / 100, 0.001 * (index + 1)) for index in range(100)))
    total = Total(60)
    full = total.add(made.close(0, 1.0, CALM, retried=3))
    empty = total.add(made.close(1, 2.0, CALM, retried=3))
    assert (full["done"], full["retried"]) == (100, 3)
    assert (full["p50_ms"], full["p90_ms"], full["p99_ms"], full["max_ms"]) == pytest.approx(
        (50, 90, 99, 100), rel=1e-3
    )
    assert (empty["done"], empty["p99_ms"], empty["retried"]) == (0, None, 0)
    assert full["worst"] == empty["worst"] == "p99 99.0 ms, 0 failed"


def test_the_progress_ends_at_the_window() -> None:
    """Responses after the window do not extend it."""
    record = Total(60).add(tally(arrival(59)).close(64, 64.2, CALM, last=True))
    assert (record["t"], record["of"]) == (60, 60)


def test_shares_are_reported_as_their_95th_percentile() -> None:
    """The p95 ignores one bad second in twenty, not two."""
    made, total = SecondCounter(20), Total(20)
    for second in range(20):
        shares = Shares(0.9 if second < 2 else 0.1, 0, 0.3 if second < 1 else 0.0)
        total.add(made.close(second, second + 1, shares))
    observed = total.result()
    assert (observed["cpu_p95"], observed["waited_p95"], observed["seconds"]) == (0.9, 0.0, 20)


ARRIVALS = st.builds(
    Arrival, st.floats(0, 59), st.floats(0, 59), st.floats(60, 69),
    st.sampled_from([None, "bad"]), st.booleans(), st.booleans(), st.sampled_from(["GET /a", "GET /b"]),
)  # fmt: skip


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(ARRIVALS, max_size=20), min_size=1, max_size=4))
def test_the_counts_of_workers_add_up_to_those_of_one_process(parts: list[list[Arrival]]) -> None:
    """Counts, blocks and histograms are equal, also after a round trip through JSON."""
    alone = tally(*(arrival for part in parts for arrival in part)).close(0, 60, CALM, last=True)
    merge, complete = Merge(len(parts)), []
    for worker, part in enumerate(parts):
        reported = json.loads(json.dumps(tally(*part).close(0, 60, CALM, last=True).to_json()))
        complete += merge.add(worker, Second.from_json(reported))
    assert merge.finished
    (whole,) = complete
    assert (whole.counts, whole.blocks, whole.shares) == (alone.counts, alone.blocks, alone.shares)
    assert (whole.service, whole.lateness, whole.routes) == (alone.service, alone.lateness, alone.routes)


def second(number: int, *, since: int | None = None, last: bool = False) -> Second:
    """Return an empty second; it may span several."""
    return Second(number, number if since is None else since, number + 1, last=last)


def test_a_second_is_complete_when_every_worker_has_reported_it_or_a_later_one() -> None:
    """A worker that was stopped skips seconds; its later outcomes are still counted."""
    merge = Merge(2)
    assert merge.add(0, second(0)) == []
    assert [done.number for done in merge.add(1, second(0))] == [0]
    assert merge.add(0, second(1)) == []
    assert merge.add(0, second(2)) == []
    assert [done.number for done in merge.add(1, second(2, since=1))] == [1, 2]
    assert [done.number for done in merge.add(1, second(3, last=True))] == []
    assert not merge.finished
    assert [done.number for done in merge.add(0, second(5, since=3, last=True))] == [3, 5]
    assert merge.finished


@pytest.mark.parametrize(
    "reported",
    [
        (second(1),),
        (second(0), second(2)),
        (second(0), second(0)),
        (second(0, last=True), second(1)),
    ],
    ids=["the first is lost", "one between is lost", "one came twice", "one came after the last"],
)
def test_a_lost_or_repeated_second_is_an_error(reported: tuple[Second, ...]) -> None:
    """A gap between two seconds of a worker is an error."""
    merge = Merge(2)
    for one in reported[:-1]:
        merge.add(1, one)
    with pytest.raises(ValueError, match="a part of worker 1's reports was lost or arrived twice"):
        merge.add(1, reported[-1])
