"""Schedules: due times are a function of rate and index, and workers share them without loss."""

import itertools

import pytest

from gaia_checks.load import schedule


def test_constant_arrivals_do_not_drift() -> None:
    """The millionth arrival is due at exactly a million times the interval."""
    assert next(itertools.islice(schedule.constant(30), 1_000_000, None)) == 1_000_000 / 30


@pytest.mark.parametrize(("rate_per_s", "window_s", "count"), [(100, 60, 6000), (2.5, 2, 5), (1, 0.5, 1), (10, 0, 0)])
def test_a_window_holds_rate_times_seconds(rate_per_s: float, window_s: float, count: int) -> None:
    """What is due before the window ends belongs to it, what is due at its end does not."""
    arrivals = schedule.until(schedule.part(schedule.constant(rate_per_s), 0, 1), window_s)
    assert len(list(arrivals)) == count


@pytest.mark.parametrize("kind", schedule.ARRIVALS)
def test_workers_share_every_arrival_once(kind: str) -> None:
    """Three workers together send what one would, at the same times."""
    due = schedule.ARRIVALS[kind]
    whole = list(schedule.until(schedule.part(due(50, 7), 0, 1), 4))
    parts = [list(schedule.until(schedule.part(due(50, 7), worker, 3), 4)) for worker in range(3)]
    assert sorted(itertools.chain(*parts)) == whole
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_poisson_arrivals_have_the_rate_and_the_spread_of_independent_users() -> None:
    """Counts per second have the rate as their mean and as their variance."""
    arrivals = [due_s for _, due_s in schedule.until(schedule.part(schedule.poisson(100, 3), 0, 1), 400)]
    counts = [0] * 400
    for due_s in arrivals:
        counts[int(due_s)] += 1
    mean = sum(counts) / 400
    variance = sum((count - mean) ** 2 for count in counts) / 400
    assert mean == pytest.approx(100, rel=0.03)
    assert variance == pytest.approx(100, rel=0.25)


def test_a_seed_gives_the_same_arrivals_again() -> None:
    """A run can be repeated; another seed is another run."""
    first, again, other = (list(itertools.islice(schedule.poisson(10, seed), 5)) for seed in (1, 1, 2))
    assert first == again != other
