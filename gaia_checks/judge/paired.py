"""Intervals of how a new release compares with the previous one, from paired blocks. Pure.

Both releases get the same requests, one after the other, in an order that chance decides. If the two are equal, their
names may be swapped in any block: its logarithm of new to previous is as likely to be positive as negative, whatever
the machine did meanwhile. Wilcoxon's signed-rank statistic assumes no more than that. docs/statistics.md says what was
rejected.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gaia_checks.judge.statistics import Sample


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, and its bounds, each one-sided."""

    estimate: float
    lower: float
    upper: float

    def times_more(self, limit: float) -> float:
        """Return how many times as many pairs would decide `limit`: the width shrinks with their square root."""
        apart = abs(limit - self.estimate)
        half = self.upper - self.estimate if limit > self.estimate else self.estimate - self.lower
        return (half / apart) ** 2 if apart else math.inf


def ratio(pairs: Sequence[Sequence[float]], alpha: float) -> Interval | None:
    """Return new / previous of (previous, new) per block; None for too few blocks. Raises ValueError at 0 or below."""
    table = np.asarray(pairs, dtype=float).reshape(-1, 2)
    if not (np.isfinite(table).all() and (table > 0).all()):
        raise ValueError("a ratio requires values above 0")
    found = centre(np.log(table[:, 1] / table[:, 0]), alpha)
    return found and Interval(*map(math.exp, (found.estimate, found.lower, found.upper)))


def more_failures(blocks: Mapping[str, Sequence[Sequence[int]]], alpha: float) -> Interval:
    """Return by how much the share of failed requests is greater, from (requests, failures) per block and release.

    Each share has its own bounds at half of `alpha`, with the design effect of its blocks, so that a bound of the
    difference errs at most at `alpha` (Bonferroni). Raises ValueError when a release has no requests.
    """
    previous, new = (Sample.of(blocks[release]) for release in ("previous", "new"))
    worst, best = 1 - new.lower(alpha / 2), 1 - new.upper(alpha / 2)
    least, most = 1 - previous.upper(alpha / 2), 1 - previous.lower(alpha / 2)
    return Interval(new.failures / new.n - previous.failures / previous.n, best - most, worst - least)


def centre(values: Any, alpha: float) -> Interval | None:
    """Return the centre of symmetry of values; None where so few have no bound at `alpha`.

    The Hodges-Lehmann estimate and Tukey's interval: the median, and two order statistics, of the means of all pairs
    (Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3rd ed., sections 3.2 and 3.3).
    """
    n = len(values)
    rank = _rank(n, alpha)
    if rank == 0:
        return None
    first, second = np.triu_indices(n)
    means = np.sort((np.asarray(values)[first] + np.asarray(values)[second]) / 2)
    return Interval(float(np.median(means)), float(means[rank - 1]), float(means[-rank]))


def _rank(n: int, alpha: float) -> int:
    """Return the greatest r with P(T < r) <= alpha for the signed-rank statistic T of n values; 0 if there is none."""
    chances = np.ones(1)
    for value in range(1, n + 1):
        longer = np.zeros(len(chances) + value)
        longer[: len(chances)] += chances / 2
        longer[value:] += chances / 2
        chances = longer
    return int(np.searchsorted(np.cumsum(chances), alpha * (1 + 1e-9), side="right"))
