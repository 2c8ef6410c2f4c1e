"""The trend of a series and its projection: a fitted line with confidence bounds. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

WARM_UP_S = 300.0
"""Growth in the first minutes of a process (caches, pools, compiled code) is not a trend."""

SHORTEST_TREND_S = 1200.0
"""Noise of 0.2 MB over one minute projects to more than a gigabyte in a week; under 20 minutes it hides any trend."""

HORIZON_S = 7 * 86_400.0
"""How far a trend is projected: seven days."""

_POINTS = 300
_FEWEST = 3  # samples of a line


@dataclass(frozen=True, slots=True)
class Slope:
    """A straight line through a series: its slope per second with bounds, and its value at the end."""

    per_s: float
    lower_per_s: float
    upper_per_s: float
    level: float  # of the line at the last sample, in the series' unit


@dataclass(frozen=True, slots=True)
class Projection:
    """The value of a series in seven days, in its own unit."""

    lower: float
    expected: float
    upper: float


def theil_sen(series: Sequence[Sequence[float]], alpha: float) -> Slope:
    """Return the median of the slopes between all pairs of samples, with bounds one-sided at `alpha`.

    Sen, Journal of the American Statistical Association 63 (1968), 1379-1389; it withstands outliers. `series` is
    (seconds, value) in order of time. A long one is first reduced to medians of equal intervals, which
    also reduces the correlation between neighbours. Raises ValueError for fewer than 3 samples.
    """
    if len(series) < _FEWEST:
        raise ValueError(f"{len(series)} samples have no trend: at least {_FEWEST} are required")
    from scipy import stats  # noqa: PLC0415 - it takes two seconds, and most processes that judge compute no trend

    times, values = _medians(np.asarray(series, dtype=float))
    slope, intercept, lower, upper = stats.theilslopes(values, times, 1 - 2 * alpha)
    return Slope(float(slope), float(lower), float(upper), float(intercept + slope * series[-1][0]))


def project(series: Sequence[Sequence[float]], alpha: float) -> Projection | None:
    """Return the value of a (seconds, value) series in seven days; None when the series is too short.

    The first 5 minutes are left out, and at least 20 minutes must remain. The lower bound must be valid for either half
    alone as well: a single step up, after which nothing rises, is not a trend, however small the noise around it.
    """
    warm = [sample for sample in series if sample[0] >= WARM_UP_S]
    if len(warm) < 2 * _FEWEST or warm[-1][0] - warm[0][0] < SHORTEST_TREND_S:
        return None
    line, middle = theil_sen(warm, alpha), len(warm) // 2
    lower_per_s = min(
        part.lower_per_s for part in (line, *(theil_sen(half, alpha) for half in (warm[:middle], warm[middle:])))
    )
    lower, expected, upper = (line.level + per_s * HORIZON_S for per_s in (lower_per_s, line.per_s, line.upper_per_s))
    return Projection(lower, expected, upper)


def _medians(samples: "np.ndarray[Any, np.dtype[np.float64]]") -> tuple[Any, Any]:
    """Reduce samples to at most `_POINTS` medians of (time, value)."""
    parts = np.array_split(samples, min(len(samples), _POINTS))
    medians = np.array([np.median(part, axis=0) for part in parts])
    return medians[:, 0], medians[:, 1]
