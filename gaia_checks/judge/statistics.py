"""How sure a number is: bounds of a success rate, of a latency percentile, of a trend. Pure.

Every bound is one-sided at its own alpha. A verdict passes when the bound on the bad side is still good, and
fails when the bound on the good side is already bad; so both errors are at most alpha.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hdrh.histogram import HdrHistogram
from scipy import stats

ALPHAS = (0.03, 0.01, 0.01)
"""Alpha of the look at the nominal end and of the two extensions. By Bonferroni's inequality all three together
err in at most 5 % of the cases; looking every second at 5 % would err in 15-27 %."""

REHEARSAL_ALPHA = 0.05
"""A rehearsal looks once, so it may spend everything at once."""

WARM_UP_S = 300.0
"""What a process does in its first minutes (caches, pools, compiled code) is no trend."""

SHORTEST_TREND_S = 1200.0
"""Noise of 0.2 MB over one minute projects to more than a gigabyte in a week; under 20 minutes nobody knows."""

HORIZON_S = 7 * 86_400.0
"""How far a trend is projected: seven days."""

_TREND_POINTS = 300
_LONGEST_FACTOR = 10_000.0


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


def alpha(*, rehearsal: bool, look: int = 0) -> float:
    """Return the alpha of a look: 0 at the nominal end, 1 and 2 at the extensions."""
    return REHEARSAL_ALPHA if rehearsal else ALPHAS[look]


# success rates -----------------------------------------------------------------------------------


def clopper_pearson(failures: float, n: float, alpha: float) -> tuple[float, float]:
    """Return the lower and the upper bound of the success proportion, each one-sided at `alpha`.

    Exact binomial bounds by quantiles of the beta distribution: Clopper and Pearson, Biometrika 26 (1934),
    404-413. Counts need not be whole: divided by a design effect they are the bounds of Korn and Graubard,
    Survey Methodology 24 (1998), 193-201. Raises ValueError unless 0 <= failures <= n and n > 0.
    """
    if not 0 <= failures <= n or n <= 0:
        raise ValueError(f"{failures} failures of {n} is no proportion")
    good = n - failures
    lower = float(stats.beta.ppf(alpha, good, failures + 1)) if good > 0 else 0.0
    upper = float(stats.beta.ppf(1 - alpha, good + 1, failures)) if failures > 0 else 1.0
    return lower, upper


def design_effect(blocks: Sequence[Sequence[int]]) -> float:
    """Return how many times more the failures per block vary than independent requests would; at least 1.

    `blocks` are (requests, failures) per stretch of time. Pearson's chi-square over its degrees of freedom
    (McCullagh and Nelder, Generalized Linear Models, 2nd ed., section 4.5), which for equal blocks is the variance of
    the counts over the binomial's. A sample of n requests is worth n / effect independent ones (Kish, Survey
    Sampling, 1965, section 8.2).
    """
    used = [(requests, failures) for requests, failures in blocks if requests > 0]
    n, failed = sum(requests for requests, _ in used), sum(failures for _, failures in used)
    if len(used) < 2 or failed in (0, n):
        return 1.0
    rate = failed / n
    chi_square = sum((failures - requests * rate) ** 2 / (requests * rate * (1 - rate)) for requests, failures in used)
    return max(1.0, chi_square / (len(used) - 1))


def seconds_needed_for_proportion(
    failures: float, n: float, window_s: float, threshold: float, alpha: float
) -> float | None:
    """Return how many more seconds like those seen would decide, 0 if they do; None if they never would.

    `failures` of `n` were seen in `window_s` seconds; counts are independent ones (divided by the design effect).
    """

    def decides(factor: float) -> bool:
        lower, upper = clopper_pearson(failures * factor, n * factor, alpha)
        return lower >= threshold or upper < threshold

    if decides(1):
        return 0.0
    if not decides(_LONGEST_FACTOR):
        return None
    low, high = 1.0, _LONGEST_FACTOR
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if decides(middle) else (middle, high)
    return float(math.ceil((high - 1) * window_s))


# percentiles -------------------------------------------------------------------------------------


def decode(text: str) -> Any:
    """Return the HdrHistogram that `text` (base64 of the compressed V2 encoding) holds. Raises ValueError."""
    try:
        return HdrHistogram.decode(text)
    except Exception as error:
        raise ValueError(f"not an encoded histogram: {error!r}") from error


def percentile_bounds(histogram: Any, percentile: float, alpha: float) -> tuple[float | None, float | None]:
    """Return the lower and the upper bound of a percentile in ms, each one-sided at `alpha`; None where n is too small.

    `histogram` is an HdrHistogram of whole microseconds, rounded down. The bounds are order statistics whose ranks
    come from the binomial distribution (David and Nagaraja, Order Statistics, 3rd ed., section 7.1): no assumption
    on the distribution is made. A bucket's lower edge stands for a lower bound, its upper edge for an upper one, so
    that the histogram's own rounding never decides.
    """
    n = int(histogram.get_total_count())
    if n <= 0:
        return None, None
    low_rank = int(stats.binom.ppf(alpha, n, percentile / 100))
    high_rank = int(stats.binom.ppf(1 - alpha, n, percentile / 100)) + 1
    lower = _bucket(histogram, low_rank)[0] / 1000 if low_rank >= 1 else None
    upper = _bucket(histogram, high_rank)[1] / 1000 if high_rank <= n else None
    return lower, upper


def _bucket(histogram: Any, rank: int) -> tuple[int, int]:
    """Return the edges, in microseconds and the upper one excluded, of the bucket with the sample of this rank."""
    seen = 0
    for value, count in _counts(histogram):
        seen += count
        if seen >= rank:
            return int(histogram.get_lowest_equivalent_value(value)), int(
                histogram.get_highest_equivalent_value(value)
            ) + 1
    raise ValueError(f"the histogram holds {seen} samples, so none has rank {rank}")


def _counts(histogram: Any) -> Iterator[tuple[int, int]]:
    for item in histogram.get_recorded_iterator():
        yield item.value_iterated_to, item.count_added_in_this_iter_step


# trends ------------------------------------------------------------------------------------------


def theil_sen(series: Sequence[Sequence[float]], alpha: float) -> Slope:
    """Return the median of the slopes between all pairs of samples, with bounds one-sided at `alpha`.

    Sen, Journal of the American Statistical Association 63 (1968), 1379-1389; it withstands outliers. `series` is
    (seconds, value) in order of time. A long one is first reduced to medians of equal stretches, which
    also makes neighbours less alike than single samples are. Raises ValueError for fewer than 3 samples.
    """
    if len(series) < 3:
        raise ValueError(f"{len(series)} samples have no trend")
    times, values = _medians(np.asarray(series, dtype=float))
    slope, intercept, lower, upper = stats.theilslopes(values, times, 1 - 2 * alpha)
    return Slope(float(slope), float(lower), float(upper), float(intercept + slope * series[-1][0]))


def project(series: Sequence[Sequence[float]], alpha: float) -> Projection | None:
    """Return where a (seconds, value) series stands in seven days; None when it is too short to say.

    The first 5 minutes are left out, and at least 20 minutes must remain.
    """
    warm = [sample for sample in series if sample[0] >= WARM_UP_S]
    if len(warm) < 3 or warm[-1][0] - warm[0][0] < SHORTEST_TREND_S:
        return None
    line = theil_sen(warm, alpha)
    lower, expected, upper = (
        line.level + per_s * HORIZON_S for per_s in (line.lower_per_s, line.per_s, line.upper_per_s)
    )
    return Projection(lower, expected, upper)


def _medians(samples: "np.ndarray[Any, np.dtype[np.float64]]") -> tuple[Any, Any]:
    """Reduce samples to at most `_TREND_POINTS` medians of (time, value)."""
    parts = np.array_split(samples, min(len(samples), _TREND_POINTS))
    medians = np.array([np.median(part, axis=0) for part in parts])
    return medians[:, 0], medians[:, 1]
