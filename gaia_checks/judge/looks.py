"""When a growing sample is judged, and how much each time may err. Pure.

Who looks again and again and stops when it looks good passes a service on the limit in 15-27 % of the cases. So the
looks are fixed before: at the nominal end, at the longest, and once between them where that is far away. All together
err in at most 5 % (Bonferroni's inequality): Jennison and Turnbull, Group Sequential Methods, 2000, chapter 2.
"""

import math
from collections.abc import Callable, Sequence

from gaia_checks.judge.statistics import ONLY_ALPHA

ALPHAS = {1: (ONLY_ALPHA,), 2: (0.03, 0.02), 3: (0.03, 0.01, 0.01)}
"""How many looks there are -> what each of them may err, from the nominal end to the longest window."""

_FAR = 2.0
"""A longest window of so many nominal ones has room for a look between them."""


def ends_s(window_s: float, max_window_s: float) -> tuple[float, ...]:
    """Return after how many seconds to look: at the nominal end, at the longest, and in the geometric middle.

    With a longest window of four times the nominal one the looks are at 1, 2 and 4 times; with less than twice as long
    a one there are two, and one where it is not longer.
    """
    if max_window_s <= window_s:
        return (window_s,)
    if max_window_s < _FAR * window_s:
        return (window_s, max_window_s)
    return (window_s, float(math.ceil(math.sqrt(window_s * max_window_s))), max_window_s)


def alphas(looks: int, look: int, could_pass: Callable[[int, float], bool]) -> tuple[float, float]:
    """Return the alphas of passing and of failing at `look` of `looks`, counted from 0.

    `could_pass(look, alpha)` says whether a flawless sample of that look would pass. Where not even that would, no
    error could be made, and the look's alpha of passing is carried over to the next.
    """
    spent = ALPHAS[looks]
    to_pass = spent[0]
    for earlier in range(look):
        to_pass = spent[earlier + 1] + (0.0 if could_pass(earlier, to_pass) else to_pass)
    return to_pass, spent[look]


def look_at(window_s: float, ends: Sequence[float]) -> int:
    """Return which of the looks a sample of `window_s` belongs to: the last that it has reached, else the first."""
    return max((number for number, end_s in enumerate(ends) if window_s >= end_s - 1e-6), default=0)
