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
