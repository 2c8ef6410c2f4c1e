"""Confidence bounds of a success rate and of a latency percentile. Pure. docs/statistics.md gives the reasons.

Every bound is one-sided at its own alpha. A verdict passes when the pessimistic bound meets the threshold, and
fails when the optimistic bound misses it; so both errors are at most alpha.

A percentile is a proportion: p99 lies below 100 ms when at least 99 % of the requests take less. So both kinds use
one `Sample`: good and bad requests per block of time.
"""

import importlib
import math
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from hdrh.histogram import HdrHistogram

ONLY_ALPHA = 0.05
"""Of a sample that is judged once; `judge.analyses` divides it among several analyses."""

_LONGEST_FACTOR = 10_000.0


@cache
def special() -> Any:
    """Return `scipy.special`, imported at the first call: it takes a third of a second, and few commands need it."""
    return importlib.import_module("scipy.special")


def clopper_pearson(failures: float, n: float, alpha: float) -> tuple[float, float]:
    """Return the lower and the upper bound of the success proportion, each one-sided at `alpha`.

    Exact binomial bounds by quantiles of the beta distribution: Clopper and Pearson, Biometrika 26 (1934),
    404-413. Counts need not be whole: divided by a design effect they are the bounds of Korn and Graubard,
    Survey Methodology 24 (1998), 193-201. Raises ValueError unless 0 <= failures <= n and n > 0.
    """
    if not 0 <= failures <= n or n <= 0:
        raise ValueError(f"{failures} failures of {n} is not a proportion")
    good = n - failures
    lower = float(special().betaincinv(good, failures + 1, alpha)) if good > 0 else 0.0
    upper = float(special().betaincinv(good + 1, failures, 1 - alpha)) if failures > 0 else 1.0
    return lower, upper


def design_effect(blocks: Sequence[Sequence[int]]) -> float:
    """Return how many times more the failures per block vary than independent requests would; at least 1.

    `blocks` are (requests, failures) per block of time. Pearson's chi-square over its degrees of freedom
    (McCullagh and Nelder, Generalized Linear Models, 2nd ed., section 4.5), which for equal blocks is the variance of
    the counts over the binomial's. A sample of n requests is worth n / effect independent ones (Kish, Survey
    Sampling, 1965, section 8.2).
    """
    table = _table(blocks)
    n, failed = table.sum(axis=0)
    if len(table) < 2 or failed in (0, n):
        return 1.0
    requests, failures = table.T
    rate = failed / n
    chi_square = float((((failures - requests * rate) ** 2) / (requests * rate * (1 - rate))).sum())
    return max(1.0, chi_square / (len(table) - 1))


@dataclass(frozen=True, slots=True)
class Sample:
    """Requests, failures and the correlation between failures. Counts need not be whole."""

    n: float
    failures: float
    effect: float  # the design effect: n / effect independent requests would be as informative
    burst: float  # this many requests may fail together; 1: each on its own
    bursts: tuple[tuple[float, float], ...]  # (size as a share of `burst`, how many of them), largest first

    @classmethod
    def of(cls, blocks: Sequence[Sequence[int]], burst: float = 1.0) -> "Sample":
        """Read (requests, failures) per block of time. Raises ValueError when there are no requests.

        Failures of one block are assumed to have come together, up to the size of a burst.
        """
        table = _table(blocks)
        if not len(table) or (table[:, 1] > table[:, 0]).any() or (table < 0).any():
            raise ValueError(f"{len(table)} blocks are not a sample: no requests, or more failed than were sent")
        n, failures = (float(total) for total in table.sum(axis=0))
        return cls(n, failures, design_effect(blocks), burst, _bursts(table[:, 1], burst))

    def lower(self, alpha: float) -> float:
        """Return the lower bound of the success proportion: the lower of design effect and Stringer's bound."""
        by_effect, _ = clopper_pearson(self.failures / self.effect, self.n / self.effect, alpha)
        return min(by_effect, 1 - self._stringer(alpha))

    def upper(self, alpha: float) -> float:
        """Return the upper bound of the success proportion."""
        return clopper_pearson(self.failures / self.effect, self.n / self.effect, alpha)[1]

    def times(self, factor: float) -> "Sample":
        """Return the sample of a run `factor` times as long at the same rates."""
        bursts = tuple((size, count * factor) for size, count in self.bursts)
        return replace(self, n=self.n * factor, failures=self.failures * factor, bursts=bursts)

    def _stringer(self, alpha: float) -> float:
        """Return the upper bound of the failed proportion, from n / burst units each of which may fail in part.

        Stringer's bound, as auditors use it for rare and unequal errors (Bickel, International Statistical Review 60
        (1992), 197-209). Without a failure it is the bound of n / burst clean units; with bursts of 1 it is Clopper and
        Pearson's.
        """
        units, observed = self.n / self.burst, 0.0
        bound = before = 1 - clopper_pearson(0, units, alpha)[0]
        for size, count in self.bursts:
            observed = min(observed + count, units)
            upper = 1 - clopper_pearson(observed, units, alpha)[0]
            bound, before = bound + (upper - before) * size, upper
        return min(bound, 1.0)


def seconds_needed(sample: Sample, window_s: float, required: float, alphas: tuple[float, float]) -> float | None:
    """Return how many more seconds at the same rates would decide; 0 if it is decided, None if they never would.

    `sample` was observed in `window_s` seconds; `required` is the proportion that must succeed; `alphas` are those of
    passing and of failing.
    """
    to_pass, to_fail = alphas

    def decides(factor: float) -> bool:
        longer = sample.times(factor)
        return longer.lower(to_pass) >= required or longer.upper(to_fail) < required

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
    """Decode `text` (base64 of the compressed V2 encoding) to an HdrHistogram. Raises ValueError."""
    try:
        histogram: Any = HdrHistogram.decode(text)
    except Exception as error:
        raise ValueError(f"not an encoded histogram: {error!r}") from error
    # it and its encoder refer to each other: without this, 200 KB of each would wait for the garbage collector
    histogram.encoder.histogram = weakref.proxy(histogram)
    return histogram


class Latencies:
    """Latencies per block of time: HdrHistograms of whole microseconds, rounded down.

    Upper bounds use a bucket's upper edge and lower bounds its lower edge, so that the histogram's own rounding never
    decides.
    """

    def __init__(self, histograms: Iterable[Any]) -> None:
        """Take one histogram per block; all have the same range and digits. Each is released before the next."""
        any_of_them: Any = None
        blocks: list[Any] = []
        for histogram in histograms:
            counts = np.ctypeslib.as_array(histogram.counts)
            filled = np.flatnonzero(counts)
            blocks.append((filled, counts[filled]))
            any_of_them = histogram
        used = np.unique(np.concatenate([np.zeros(0, np.int64), *(filled for filled, _ in blocks)]))
        table = np.zeros((len(blocks), len(used)), dtype=np.int64)
        for row, (filled, counts) in zip(table, blocks, strict=True):
            row[np.searchsorted(used, filled)] = counts
        values = [any_of_them.get_value_from_index(int(index)) for index in used]
        self._lower_ms = [any_of_them.get_lowest_equivalent_value(value) / 1000 for value in values]
        self._upper_ms = [(any_of_them.get_highest_equivalent_value(value) + 1) / 1000 for value in values]
        self._up_to = table.cumsum(axis=1)

    @property
    def n(self) -> int:
        """Number of latencies."""
        return int(self._up_to[:, -1].sum()) if self._up_to.size else 0

    def percentile_ms(self, percentile: float) -> float:
        """Return a percentile of the sample, by the upper edge of its bucket. Raises ValueError without samples."""
        if not self.n:
            raise ValueError("no samples have no percentile")
        rank = max(1, math.ceil(self.n * percentile / 100))
        return float(self._upper_ms[int(np.searchsorted(self._up_to.sum(axis=0), rank))])

    def below(self, limit_ms: float, burst: float = 1.0) -> Sample:
        """Return the latencies as good or bad: bad are those that may lie at `limit_ms` or above."""
        return self._split(int(np.searchsorted(self._upper_ms, limit_ms)), burst)

    def bounds_ms(
        self, percentile: float, alphas: tuple[float, float], burst: float = 1.0
    ) -> tuple[float | None, float | None]:
        """Return the lower and the upper bound of a percentile; None where there are too few samples.

        The upper bound is one-sided at the first of `alphas`, that of passing, the lower one at the second.

        They are order statistics: the ranks are those at which `Sample`'s bounds of the proportion below reach the
        percentile. For independent requests these are the ranks of the binomial distribution (David and Nagaraja,
        Order Statistics, 3rd ed., section 7.1): nothing is assumed about the distribution.
        """
        if not self.n:
            return None, None
        share, buckets = percentile / 100, len(self._upper_ms)
        enough = _first(buckets + 1, lambda split: self._split(split, burst).lower(alphas[0]) >= share)
        too_few = _first(buckets + 1, lambda split: self._split(split, burst).upper(alphas[1]) >= share)
        lower = self._lower_ms[too_few - 1] if 1 <= too_few <= buckets else None
        upper = self._upper_ms[enough - 1] if 1 <= enough <= buckets else None
        return lower, upper

    def _split(self, buckets: int, burst: float) -> Sample:
        """Count the first `buckets` buckets as good and the rest as bad."""
        requests = self._up_to[:, -1]
        good = self._up_to[:, buckets - 1] if buckets else np.zeros_like(requests)
        return Sample.of(np.column_stack((requests, requests - good)), burst)  # type: ignore[arg-type] # rows of two


def _first(count: int, condition: Any) -> int:
    """Return the first of 0 to count - 1 that satisfies `condition`, by bisection; count when none does."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if condition(middle) else (middle + 1, high)
    return low


def _table(blocks: Sequence[Sequence[int]]) -> Any:
    """Return (requests, failures) as an array of those blocks that had requests."""
    table = np.asarray(blocks, dtype=float).reshape(-1, 2)
    return table[table[:, 0] != 0]


def _bursts(failures: Any, burst: float) -> tuple[tuple[float, float], ...]:
    """Cut the failures of each block into whole bursts and a rest; return (share of a burst, how many)."""
    whole, rest = np.divmod(failures, burst)
    sizes, counts = np.unique(rest[rest > 0] / burst, return_counts=True)
    parts = [(1.0, float(whole.sum())), *zip(map(float, sizes[::-1]), map(float, counts[::-1]), strict=True)]
    return tuple((size, count) for size, count in parts if count > 0)
