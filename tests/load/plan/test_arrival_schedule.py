"""Tests of the schedule: due times are a function of profile and index, and workers share them without loss."""

import itertools
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gaia_checks.load.plan import arrival_schedule
from gaia_checks.load.plan.arrival_schedule import Phase, Profile, parse

RATES = st.floats(0.5, 300)
PHASES = st.builds(Phase, RATES, RATES, st.floats(0.1, 5))
PROFILES = st.builds(lambda phases: Profile(tuple(phases)), st.lists(PHASES, min_size=1, max_size=4))


def times(text: str, window_s: float) -> list[float]:
    """Return the due times of a constant load."""
    return [
        due_s
        for _, due_s in arrival_schedule.until(arrival_schedule.part(arrival_schedule.due(parse(text)), 0, 1), window_s)
    ]


def test_constant_arrivals_do_not_drift() -> None:
    """The millionth arrival is due at exactly a million times the interval."""
    assert next(itertools.islice(arrival_schedule.due(parse("30")), 1_000_000, None)) == 1_000_000 / 30


@pytest.mark.parametrize(
    ("rate", "window_s", "count"),
    [("100", 60, 6000), ("2.5", 2, 5), ("1", 0.5, 1), ("10", 0, 0), ("10x2s,20x3s", 10, 180), ("0..20x10s,20", 20, 300),
     ("10x1s,0x5s,10", 7, 20), ("100x1m", 1, 100)],
)  # fmt: skip
def test_a_window_holds_the_area_below_the_rate(rate: str, window_s: float, count: int) -> None:
    """The window includes arrivals due before its end and excludes those at its end; the last rate continues."""
    assert len(times(rate, window_s)) == count


def test_a_phase_starts_at_the_end_of_the_previous_one() -> None:
    """Three arrivals in the first second, then a pause, then two per second."""
    assert times("3x1s,0x2s,2", 5) == pytest.approx([0, 1 / 3, 2 / 3, 3, 3.5, 4, 4.5])


def test_a_ramp_sends_as_the_area_below_a_straight_line() -> None:
    """In a ramp from 0 to 20 per second in 10 s, arrival i is due after the square root of i."""
    assert times("0..20x10s,20", 9) == pytest.approx([math.sqrt(i) for i in range(81)])


@pytest.mark.parametrize(
    "text", ["", "fast", "0", "-1", "10..20", "10x", "10x5", "10x0s,5", "5x1s,0", "1e3", "nan", "10,,5"]
)
def test_an_invalid_rate_is_refused(text: str) -> None:
    """The error message names the problem or an example."""
    with pytest.raises(ValueError, match=r"is not a rate; write 100|must be above 0|has no valid length"):
        parse(text)


@given(PROFILES, st.sampled_from(arrival_schedule.ARRIVALS), st.integers(0, 9), st.integers(1, 7))
def test_workers_share_every_arrival_once(profile: Profile, arrivals: str, seed: int, workers: int) -> None:
    """All workers together send the same arrivals as one would; their counts differ by at most one."""
    whole = list(itertools.islice(arrival_schedule.part(arrival_schedule.due(profile, arrivals, seed), 0, 1), 200))
    parts = [
        list(itertools.takewhile(lambda arrival: arrival[0] < 200, arrival_schedule.part(due, worker, workers)))
        for worker, due in enumerate(arrival_schedule.due(profile, arrivals, seed) for _ in range(workers))
    ]
    assert sorted(itertools.chain(*parts)) == whole
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(PROFILES, st.sampled_from(arrival_schedule.ARRIVALS), st.floats(0, 40))
def test_the_number_due_before_a_time_is_that_of_the_schedule(profile: Profile, arrivals: str, end_s: float) -> None:
    """The number is what the schedule yields until then; one due at that very time is not among them."""
    some = list(itertools.islice(arrival_schedule.due(profile, arrivals, 7), 2000))
    assume(some[-1] >= end_s)
    for until_s in (end_s, some[10]):
        number = arrival_schedule.due_before(profile, until_s, arrivals, 7)
        assert number == sum(moment_s < until_s for moment_s in some)


@given(PROFILES, st.sampled_from(arrival_schedule.ARRIVALS))
def test_time_never_goes_back(profile: Profile, arrivals: str) -> None:
    """For all steps and ramps, a later arrival is not due earlier."""
    some = list(itertools.islice(arrival_schedule.due(profile, arrivals, 1), 300))
    assert some == sorted(some)
    assert some[0] >= 0


@given(PROFILES, st.floats(0, 2000))
def test_a_due_time_is_when_so_many_were_expected(profile: Profile, count: float) -> None:
    """The integral of the rate until an arrival's due time is its number."""
    due_s, expected, left_s = profile.due_s(count), 0.0, profile.due_s(count)
    for phase in profile.phases:
        spent_s = min(left_s, phase.length_s)
        slope = 0.0 if math.isinf(phase.length_s) else (phase.last - phase.first) / phase.length_s
        expected += phase.first * spent_s + slope * spent_s**2 / 2
        left_s -= spent_s
    assert expected == pytest.approx(count, rel=1e-6, abs=1e-6), due_s


def test_poisson_arrivals_have_the_rate_and_the_spread_of_independent_users() -> None:
    """The mean and the variance of the counts per second equal the rate."""
    arrivals = arrival_schedule.until(
        arrival_schedule.part(arrival_schedule.due(parse("100"), "poisson", 3), 0, 1), 400
    )
    counts = [0] * 400
    for _, due_s in arrivals:
        counts[int(due_s)] += 1
    mean = sum(counts) / 400
    variance = sum((count - mean) ** 2 for count in counts) / 400
    assert mean == pytest.approx(100, rel=0.03)
    assert variance == pytest.approx(100, rel=0.25)


def test_a_seed_gives_the_same_arrivals_again() -> None:
    """The same seed gives the same arrivals, another seed gives others."""
    first, again, other = (
        list(itertools.islice(arrival_schedule.due(parse("10"), "poisson", s), 5)) for s in (1, 1, 2)
    )
    assert first == again != other
