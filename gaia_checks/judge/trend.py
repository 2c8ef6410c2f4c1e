"""Whether a series rises, and where that leads: a line through it with bounds. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

WARM_UP_S = 300.0
"""What a process does in its first minutes (caches, pools, compiled code) is no trend."""

SHORTEST_TREND_S = 1200.0
"""Noise of 0.2 MB over one minute projects to more than a gigabyte in a week; under 20 minutes nobody knows."""

HORIZON_S = 7 * 86_400.0
"""How far a trend is projected: seven days."""

_POINTS = 300


@dataclass(frozen=True, slots=True)
class Slope:
    """A straight line through a series: its rise per second with bounds, and where it stands at the end."""

    per_s: float
    lower_per_s: float
    upper_per_s: float
    level: float  # of the line at the last sample, in the series' unit


@dataclass(frozen=True, slots=True)
class Projection:
    """Where a series stands in seven days, in its own unit."""

    lower: float
    expected: float
    upper: float


def theil_sen(series: Sequence[Sequence[float]], alpha: float) -> Slope:
    """Return the median of the slopes between all pairs of samples, with bounds one-sided at `alpha`.

    Sen, Journal of the American Statistical Association 63 (1968), 1379-1389; it withstands outliers. `series` is
    (seconds, value) in order of time. A long one is first reduced to medians of equal stretches, which
    also makes neighbours less alike than single samples are. Raises ValueError for fewer than 3 samples.
    """
    if len(series) < 3:
        raise ValueError(f"{len(series)} samples have no trend")
    from scipy import stats  # noqa: PLC0415 - it takes two seconds, and most processes that judge see no trend

    times, values = _medians(np.asarray(series, dtype=float))
    slope, intercept, lower, upper = stats.theilslopes(values, times, 1 - 2 * alpha)
    return Slope(float(slope), float(lower), float(upper), float(intercept + slope * series[-1][0]))


def project(series: Sequence[Sequence[float]], alpha: float) -> Projection | None:
    """Return where a (seconds, value) series stands in seven days; None when it is too short to say.

    The first 5 minutes are left out, and at least 20 minutes must remain. What is surely reached must be so by either
    half alone as well: a single step up, after which nothing rises, is no trend, however small the noise around it.
    """
    warm = [sample for sample in series if sample[0] >= WARM_UP_S]
    if len(warm) < 3 or warm[-1][0] - warm[0][0] < SHORTEST_TREND_S:
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
