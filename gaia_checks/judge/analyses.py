"""The interim analyses of a sequential test: when a growing sample is judged, and the error rate of each. Pure.

Judging again and again and stopping at the first good result passes a service on the limit in 15-27 % of the cases. So
the analyses are fixed in advance: at the nominal end, at the longest window, and once between them where that is far
away. Together they err in at most 5 % (Bonferroni's inequality): Jennison and Turnbull, Group Sequential Methods, 2000,
chapter 2.
"""

import math
from collections.abc import Callable, Sequence

from gaia_checks.judge.statistics import ONLY_ALPHA

ALPHAS = {1: (ONLY_ALPHA,), 2: (0.03, 0.02), 3: (0.03, 0.01, 0.01)}
"""Number of analyses -> the error rate (alpha) of each, from the nominal end to the longest window."""

_FAR = 2.0
"""From this many nominal windows on, the longest window has room for an analysis between them."""


def ends_s(window_s: float, max_window_s: float) -> tuple[float, ...]:
    """Return the times of the analyses in seconds: the nominal end, the longest window, and their geometric mean.

    A longest window of four times the nominal one gives analyses at 1, 2 and 4 times; one of less than twice the
    nominal gives two, and one that is not longer gives one.
    """
    if max_window_s <= window_s:
        return (window_s,)
    if max_window_s < _FAR * window_s:
        return (window_s, max_window_s)
    return (window_s, float(math.ceil(math.sqrt(window_s * max_window_s))), max_window_s)


def alphas(looks: int, look: int, could_pass: Callable[[int, float], bool]) -> tuple[float, float]:
    """Return the alphas of passing and of failing at analysis `look` of `looks`, counted from 0.

    `could_pass(look, alpha)` returns whether a flawless sample of that analysis would pass. If not, the analysis could
    not pass a bad service, and its alpha of passing is carried over to the next.
    """
    spent = ALPHAS[looks]
    to_pass = spent[0]
    for earlier in range(look):
        to_pass = spent[earlier + 1] + (0.0 if could_pass(earlier, to_pass) else to_pass)
    return to_pass, spent[look]


def look_at(window_s: float, ends: Sequence[float]) -> int:
    """Return the number of the analysis of a sample of `window_s`: the last that it has reached, else the first."""
    return max((number for number, end_s in enumerate(ends) if window_s >= end_s - 1e-6), default=0)
