"""When a growing sample is judged, and how much each time may err. Pure.

Who looks again and again and stops when it looks good passes a service on the limit in 15-27 % of the cases. So the
looks are fixed before: at the nominal end, at the longest, and once between them. All together err in at most 5 %
(Bonferroni's inequality): Jennison and Turnbull, Group Sequential Methods, 2000, chapter 2.
"""

import math
from collections.abc import Callable, Sequence

from gaia_checks.judge.statistics import ONLY_ALPHA

ALPHAS = (0.03, 0.01, 0.01)
"""Of the look at the nominal end and of the two extensions."""


def ends_s(window_s: float, max_window_s: float) -> tuple[float, ...]:
    """Return after how many seconds to look: once, or three times with the second look in the geometric middle.

    With a longest window of four times the nominal one the looks are at 1, 2 and 4 times.
    """
    if max_window_s <= window_s:
        return (window_s,)
    return (window_s, float(math.ceil(math.sqrt(window_s * max_window_s))), max_window_s)


def alphas(looks: int, look: int, could_pass: Callable[[int, float], bool]) -> tuple[float, float]:
    """Return the alphas of passing and of failing at `look` of `looks`, counted from 0.

    `could_pass(look, alpha)` says whether a flawless sample of that look would pass. Where not even that would, no
    error could be made, and the look's alpha of passing is carried over to the next.
    """
    if looks == 1:
        return ONLY_ALPHA, ONLY_ALPHA
    to_pass = ALPHAS[0]
    for earlier in range(look):
        to_pass = ALPHAS[earlier + 1] + (0.0 if could_pass(earlier, to_pass) else to_pass)
    return to_pass, ALPHAS[look]


def look_at(window_s: float, ends: Sequence[float]) -> int:
    """Return which of the looks a sample of `window_s` belongs to: the last that it has reached, else the first."""
    return max((number for number, end_s in enumerate(ends) if window_s >= end_s - 1e-6), default=0)
