"""Whether a limit was kept, judged from outside: from when each request was sent, answered, and how. Pure.

Nobody outside knows when the server decided a request: some time between sending it and receiving the answer. So
a wrong decision counts only if every order of decisions that those intervals allow contradicts the rule: at any
moment `t` at most `limit` admissions lie in (t - window, t], and a refusal finds exactly that many there. All
functions err on the server's side alone: what they count is certain; for answers that take no time at all they
count whatever is wrong.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
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

    Units and `slack_s` are those of `false_allows`.
    """
    answers = list(answers)
    room = had_room(answers, limit=limit, window_s=window_s, slack_s=slack_s)
    return sum(answer.admitted is False and had for answer, had in zip(answers, room, strict=True))


def had_room(answers: Sequence[Answer], *, limit: int, window_s: float, slack_s: float = RESOLUTION_S) -> list[bool]:
    """Return for each request whether the limit certainly had room for it: if it was refused, that was wrong.

    An admission may lie in the window of a decision at `t` when it was sent by then and answered less than a window
    before. There was room if at no moment between sending and answer `limit` others could.
    """
    counted = [answer for answer in answers if answer.admitted is not False]
    steps = sorted(
        [(answer.sent_s, 1) for answer in counted]
        + [(answer.received_s + window_s + slack_s, -1) for answer in counted]
    )
    moments = [moment for moment, _ in steps]
    possible = [0, *accumulate(change for _, change in steps)]  # after so many steps

    def had(answer: Answer) -> bool:
        first, last = bisect_right(moments, answer.sent_s), bisect_right(moments, answer.received_s)
        itself = answer.admitted is not False  # it may be in the window all the time
        return max(possible[first : last + 1]) - itself < limit

    return [had(answer) for answer in answers]


def was_full(answers: Sequence[Answer], *, limit: int, window_s: float, slack_s: float = RESOLUTION_S) -> list[bool]:
    """Return for each request whether the limit was certainly used up by others: if it was admitted, that was wrong.

    It was when `limit` others were surely admitted within less than a window that holds this request as well.
    """
    admitted = sorted((answer.sent_s, answer.received_s) for answer in answers if answer.admitted)
    starts = [start for start, _ in admitted]

    def within(start: float) -> int:
        until = start + window_s - slack_s
        return sum(end < until for _, end in admitted[bisect_left(starts, start) : bisect_left(starts, until)])

    held = [within(start) for start in starts]  # by the stretch of a window that begins with each admission

    def was(answer: Answer) -> bool:
        if answer.received_s - answer.sent_s >= window_s - slack_s:
            return False
        first = bisect_right(starts, answer.received_s - window_s + slack_s)
        last = bisect_right(starts, answer.sent_s)
        most = max([within(answer.sent_s), *held[first:last]])
        return most - bool(answer.admitted) >= limit

    return [was(answer) for answer in answers]
