"""Whether a limit was kept, judged from outside: from when each request was sent, answered, and how. Pure.

Nobody outside knows when the server decided a request: some time between sending it and receiving the answer. So
a wrong decision counts only if every order of decisions that those intervals allow contradicts the rule: at any
moment `t` at most `limit` admissions lie in (t - window, t], and a refusal finds exactly that many there. Both
functions err on the server's side alone: what they count is certain; for answers that take no time at all they
count whatever is wrong.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

RESOLUTION_S = 1e-6
"""A server's times are whole microseconds, so its windows may look that much longer or shorter from outside."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One request of one key as its client saw it, on the client's monotonic clock."""

    sent_s: float
    received_s: float  # infinity: no answer came, so it may be decided at any time
    admitted: bool | None  # None: unknown; it may have been counted or not


def false_allows(answers: Iterable[Answer], *, limit: int, window_s: float, slack_s: float = RESOLUTION_S) -> int:
    """Return how many requests of one key, at least, were admitted beyond its limit.

    When no window holds more than `limit` admissions, a stretch shorter than k windows holds at most k * limit. What
    was sent and answered within the stretch was decided in it: the excess over that bound is certain. Of stretches
    that do not overlap the excesses add up; the largest such sum is returned. `window_s` may be infinite (a quota
    within its period); `slack_s` is how far the two clocks may go apart within a window.
    """
    admitted = sorted((answer.sent_s, answer.received_s) for answer in answers if answer.admitted)
    starts = [start for start, _ in admitted]
    ends: list[float] = []  # of those sent at `start` or later, sorted
    excess = [0] * (len(admitted) + 1)  # among those sent at `start` or later
    for index in reversed(range(len(admitted))):
        start, end = admitted[index]
        insort(ends, end)
        excess[index] = excess[index + 1]
        windows, until = 0, start
        while until <= ends[-1] and windows * limit < len(ends):
            windows += 1
            until = start + windows * window_s - slack_s
            within = bisect_left(ends, until) - windows * limit
            if within > 0:
                excess[index] = max(excess[index], within + excess[bisect_left(starts, until)])
    return excess[0]


def false_denies(answers: Iterable[Answer], *, limit: int, window_s: float, slack_s: float = RESOLUTION_S) -> int:
    """Return how many requests of one key, at least, were refused although its limit had room.

    An admission may lie in the window of a decision at `t` when it was sent by then and answered less than a window
    before. A refusal is certainly wrong if at no moment between its sending and its answer `limit` of them could.
    Units and `slack_s` are those of `false_allows`.
    """
    answers = list(answers)
    counted = [answer for answer in answers if answer.admitted is not False]
    steps = sorted(
        [(answer.sent_s, 1) for answer in counted]
        + [(answer.received_s + window_s + slack_s, -1) for answer in counted]
    )
    moments = [moment for moment, _ in steps]
    possible = [0, *accumulate(change for _, change in steps)]  # after so many steps

    def wrong(refusal: Answer) -> bool:
        first, last = bisect_right(moments, refusal.sent_s), bisect_right(moments, refusal.received_s)
        return max(possible[first : last + 1]) < limit

    return sum(wrong(answer) for answer in answers if answer.admitted is False)
