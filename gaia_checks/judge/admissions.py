"""Count a rate limiter's certainly wrong decisions from the client side: send time, receive time and outcome. Pure.

A client does not know when the server decided a request, only that it did so between sending and response. So
a decision counts as wrong only if every order of decisions that those intervals allow contradicts the rule: at any
moment `t` at most `limit` admissions lie in (t - window, t], and a refusal finds exactly that many there. All
functions err in the server's favour only: every counted decision is certainly wrong; for responses that take no time
they count every wrong decision.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

RESOLUTION_S = 1e-6
"""A server's times are whole microseconds, so a client may observe its windows that much longer or shorter."""


@dataclass(frozen=True, slots=True)
class TimedAnswer:
    """One request of one key as its client observed it, on the client's monotonic clock."""

    sent_s: float
    received_s: float  # infinity: no response came, so it may be decided at any time
    admitted: bool | None  # None: unknown; it may have been counted or not


def false_allows(answers: Iterable[TimedAnswer], *, limit: int, window_s: float, slack_s: float = RESOLUTION_S) -> int:
    """Return a lower bound on how many requests of one key were admitted beyond its limit.

    When no window contains more than `limit` admissions, an interval shorter than k windows contains at most
    k * limit. Requests sent and answered within the interval were decided in it, so the excess over that bound is
    certain. The excesses of disjoint intervals add up; the largest such sum is returned. `window_s` may be infinite
    (a quota within its period); `slack_s` is how far the two clocks may drift apart within a window.
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


def false_denies(answers: Iterable[TimedAnswer], *, limit: int, window_s: float, slack_s: float = RESOLUTION_S) -> int:
    """Return a lower bound on how many requests of one key were refused although its limit had room.

    Units and `slack_s` are those of `false_allows`.
    """
    answers = list(answers)
    room = had_room(answers, limit=limit, window_s=window_s, slack_s=slack_s)
    return sum(answer.admitted is False and had for answer, had in zip(answers, room, strict=True))


def had_room(
    answers: Sequence[TimedAnswer], *, limit: int, window_s: float, slack_s: float = RESOLUTION_S
) -> list[bool]:
    """Return for each request whether the limit certainly had room for it, so that a refusal was wrong.

    An admission may lie in the window of a decision at `t` if it was sent by then and answered less than a window
    before. There was room if at no moment between sending and response `limit` others could lie in the window.
    """
    counted = [answer for answer in answers if answer.admitted is not False]
    steps = sorted(
        [(answer.sent_s, 1) for answer in counted]
        + [(answer.received_s + window_s + slack_s, -1) for answer in counted]
    )
    moments = [moment for moment, _ in steps]
    possible = [0, *accumulate(change for _, change in steps)]  # after so many steps

    def had(answer: TimedAnswer) -> bool:
        first, last = bisect_right(moments, answer.sent_s), bisect_right(moments, answer.received_s)
        itself = answer.admitted is not False  # it may be in the window all the time
        return max(possible[first : last + 1]) - itself < limit

    return [had(answer) for answer in answers]


def was_full(
    answers: Sequence[TimedAnswer], *, limit: int, window_s: float, slack_s: float = RESOLUTION_S
) -> list[bool]:
    """Return for each request whether other requests had certainly used up the limit, so that an admission was wrong.

    They had if `limit` others were certainly admitted within less than one window that also contains this request.
    """
    admitted = sorted((answer.sent_s, answer.received_s) for answer in answers if answer.admitted)
    starts = [start for start, _ in admitted]

    def within(start: float) -> int:
        until = start + window_s - slack_s
        return sum(end < until for _, end in admitted[bisect_left(starts, start) : bisect_left(starts, until)])

    admissions = [within(start) for start in starts]  # in the window that starts with each admission

    def was(answer: TimedAnswer) -> bool:
        if answer.received_s - answer.sent_s >= window_s - slack_s:
            return False
        first = bisect_right(starts, answer.received_s - window_s + slack_s)
        last = bisect_right(starts, answer.sent_s)
        most = max([within(answer.sent_s), *admissions[first:last]])
        return most - bool(answer.admitted) >= limit

    return [was(answer) for answer in answers]
