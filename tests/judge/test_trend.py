"""The trend: detected where there is one, and only in series that are long enough."""

import numpy as np
import pytest

from gaia_checks.judge import trend

SEED = 20261123


def memory(seconds: int, mb_per_hour: float, noise_mb: float = 0.2) -> list[list[float]]:
    """Return the memory of a process that starts at 100 MB, warms up to 120 and rises from there."""
    chance = np.random.default_rng(SEED)
    return [
        [float(t), 120 - 20 * float(np.exp(-t / 20)) + mb_per_hour * t / 3600 + float(chance.normal(0, noise_mb))]
        for t in range(seconds)
    ]


@pytest.mark.parametrize("seconds", [0, 2, 60, 1490])
def test_a_short_series_has_no_trend(seconds: int) -> None:
    """A projection requires twenty minutes after five of warm-up."""
    assert trend.project(memory(seconds, 0), 0.05) is None


def test_the_shortest_trend_lasts_from_300_to_1500_s() -> None:
    """Both ends count: a sample at five minutes is warm, and twenty minutes later is long enough."""
    line = [[float(t), 100 + t / 1000] for t in range(0, 1501, 10)]
    projection = trend.project(line, 0.05)
    assert projection is not None
    assert projection.expected == pytest.approx(101.5 + 7 * 86.4)
    assert projection.lower == pytest.approx(projection.expected)
    assert projection.upper == pytest.approx(projection.expected)
    assert trend.project(line[:-1], 0.05) is None
    assert trend.project([sample for sample in line if sample[0] != 300], 0.05) is None


@pytest.mark.parametrize(("samples", "projected"), [(0, False), (3, False), (5, False), (6, True)])
def test_each_half_of_a_trend_has_three_samples(samples: int, projected: bool) -> None:
    """Fewer in twenty minutes are no trend, and no error."""
    series = [[300 + number * 1200 / max(1, samples - 1), 42.0] for number in range(samples)]
    assert (trend.project(series, 0.05) is not None) is projected


@pytest.mark.parametrize("samples", [3, 1000])
def test_a_line_has_its_slope_and_its_value_at_the_last_sample(samples: int) -> None:
    """Without noise, the slope, both bounds and the level are exact."""
    line = trend.theil_sen([[float(t), 100 + 2.0 * t] for t in range(10, 10 + samples)], 0.05)
    assert (line.per_s, line.lower_per_s, line.upper_per_s) == pytest.approx((2, 2, 2))
    assert line.level == pytest.approx(100 + 2 * (9 + samples))


def test_each_bound_errs_as_often_as_its_alpha() -> None:
    """At an alpha of 0.25, a quarter of 400 flat series has its lower bound above zero, another its upper below."""
    chance = np.random.default_rng(SEED)
    lines = [trend.theil_sen([[float(t), chance.normal()] for t in range(30)], 0.25) for _ in range(400)]
    assert sum(line.lower_per_s > 0 for line in lines) / 400 == pytest.approx(0.25, abs=0.06)
    assert sum(line.upper_per_s < 0 for line in lines) / 400 == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize(("mb_per_hour", "expected_mb"), [(0.0, 120), (1.0, 288), (-0.1, 103)])
def test_a_long_series_is_projected_seven_days(mb_per_hour: float, expected_mb: float) -> None:
    """The interval contains the true value and is narrower than the criterion's threshold."""
    projection = trend.project(memory(1800, mb_per_hour), 0.01)
    assert projection is not None
    assert projection.lower < expected_mb < projection.upper
    assert projection.upper - projection.lower < 100


def test_outliers_do_not_make_a_trend() -> None:
    """A running dump that doubles a tenth of the samples does not change the slope."""
    series = [[t, value * 2 if 1500 < t < 1620 else value] for t, value in memory(1800, 0)]
    line = trend.theil_sen(series[300:], 0.05)
    assert abs(line.per_s) * 3600 < 0.5
    assert line.level == pytest.approx(120, abs=0.5)


def test_a_step_is_not_a_trend_but_a_leak_is() -> None:
    """A step of one megabyte in the middle of a noiseless series is not projected; a small leak is."""
    step = trend.project([[t, 42.3 + (t > 1000) * 1.1] for t in range(1800)], 0.03)
    leak = trend.project(memory(1800, 3.0), 0.03)
    assert step is not None
    assert leak is not None
    assert step.lower < 50
    assert leak.lower > 500


def test_two_samples_have_no_slope() -> None:
    """Fewer than three samples are an error."""
    with pytest.raises(ValueError, match="2 samples have no trend"):
        trend.theil_sen([[0, 1], [1, 1]], 0.05)
