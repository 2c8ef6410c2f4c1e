"""Wrong decisions counted from the client side: every one is certain, and none that can be known is missed."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaia_checks.judge.admissions import TimedAnswer, false_allows, false_denies, was_full

INF = math.inf


def at(moment: float, admitted: bool | None) -> TimedAnswer:
    """A request whose response took no time."""
    return TimedAnswer(moment, moment, admitted)


def wrong(answers: Sequence[TimedAnswer], limit: int, window_s: float) -> tuple[int, int]:
    """Return false allows and false denies, on clocks that agree."""
    return (
        false_allows(answers, limit=limit, window_s=window_s, slack_s=0),
        false_denies(answers, limit=limit, window_s=window_s, slack_s=0),
    )


YES, NO, LOST = True, False, None


@pytest.mark.parametrize(
    ("limit", "window_s", "answers", "expected"),
    [
        # happy: each is possible in some order
        (1, 10, [], (0, 0)),
        (1, 10, [at(0, YES), at(1, NO), at(10, YES)], (0, 0)),  # the edge belongs to the next window
        (2, 10, [TimedAnswer(0, 4, YES), TimedAnswer(0, 4, YES), TimedAnswer(0, 4, NO)], (0, 0)),
        (1, 10, [TimedAnswer(0, 4, YES), TimedAnswer(10, 11, YES)], (0, 0)),  # decided at 0 and 10
        (1, 10, [TimedAnswer(0, 4, YES), TimedAnswer(12, 13, NO)], (0, 0)),  # decided at 4 and 12
        (1, 10, [at(5, NO), TimedAnswer(4, 9, YES)], (0, 0)),  # the one admitted came first
        (0, 10, [at(0, NO), at(99, NO)], (0, 0)),
        (1, 10, [TimedAnswer(0, INF, LOST), at(50, NO)], (0, 0)),  # the lost one was counted at 45, say
        (1, 10, [TimedAnswer(0, INF, LOST), at(1, YES)], (0, 0)),  # or never
        (2, INF, [at(0, YES), at(1, YES), at(999, NO)], (0, 0)),  # a quota within its period
        # sad: no order explains them
        (1, 10, [at(0, YES), at(9, YES)], (1, 0)),
        (1, 10, [TimedAnswer(0, 4, YES), TimedAnswer(5, 9, YES)], (1, 0)),
        (2, 10, [at(0, YES), at(1, YES), at(2, YES), at(3, YES)], (2, 0)),
        (1, 10, [at(0, YES), at(1, YES), at(50, YES), at(51, YES)], (2, 0)),  # one in each of two bursts
        (2, 10, [at(moment, YES) for moment in (0, 4, 8, 12, 16)], (1, 0)),  # without that at 8 all is well
        (0, 10, [at(0, YES)], (1, 0)),
        (1, INF, [at(0, YES), at(99_999, YES)], (1, 0)),
        (1, 10, [at(0, NO)], (0, 1)),
        (1, 10, [at(0, YES), at(10, NO)], (0, 1)),
        (2, 10, [TimedAnswer(0, 4, YES), TimedAnswer(0, 9, NO)], (0, 1)),
        (1, 10, [at(0, YES), at(20, NO), at(21, NO)], (0, 2)),
        (1, 10, [at(5, NO), at(6, YES)], (0, 1)),  # the one admitted came later
        (
            2,
            10,
            [TimedAnswer(0, 1, YES), TimedAnswer(10.5, 12, YES), TimedAnswer(9, 15, NO)],
            (0, 0),
        ),  # both count until 11
        (
            2,
            10,
            [TimedAnswer(0, 1, YES), TimedAnswer(11, 12, YES), TimedAnswer(9, 15, NO)],
            (0, 1),
        ),  # never both at once
        (2, 10, [at(0, YES), at(1, YES), at(2, YES), at(40, NO)], (1, 1)),
    ],
)
def test_counts_certain_faults(
    limit: int, window_s: float, answers: list[TimedAnswer], expected: tuple[int, int]
) -> None:
    """Only decisions that no order explains are counted, and as often as they are certain."""
    assert wrong(answers, limit, window_s) == expected


def test_the_server_counts_in_microseconds() -> None:
    """A window that appears half a microsecond too short or too long is the server's rounding, not a fault."""
    early, late = 10 - 5e-7, 10 + 5e-7
    assert false_allows([at(0, YES), at(early, YES)], limit=1, window_s=10) == 0
    assert false_denies([at(0, YES), at(late, NO)], limit=1, window_s=10) == 0
    assert wrong([at(0, YES), at(early, YES)], 1, 10) == (1, 0)
    assert wrong([at(0, YES), at(late, NO)], 1, 10) == (0, 1)


@pytest.mark.parametrize(
    ("limit", "answers", "full"),
    [
        (1, [at(0, YES), at(9, NO)], [False, True]),
        (1, [at(0, YES), at(10, NO)], [False, False]),  # the edge belongs to the next window
        (1, [at(0, YES), at(9, YES)], [True, True]),  # whichever came first used up the other's
        (1, [at(0, NO), at(9, YES)], [True, False]),  # a later admission may have been decided earlier, in its window
        (2, [at(0, YES), at(5, YES), at(9, NO)], [False, False, True]),
        (2, [at(0, YES), at(5, YES), at(12, NO)], [False, False, False]),
        (1, [TimedAnswer(0, 4, YES), TimedAnswer(5, 9, NO)], [False, True]),
        (1, [TimedAnswer(0, 4, YES), TimedAnswer(5, 10, NO)], [False, False]),  # decided at 0 and 10
        (1, [TimedAnswer(0, 10, YES), TimedAnswer(1, 2, NO)], [False, False]),  # longer than a window
        (1, [at(50, YES), TimedAnswer(50, 59, NO)], [False, True]),
        (1, [at(50, YES), TimedAnswer(50, 60, NO)], [False, False]),  # it took a whole window: decided at 60
        (1, [at(0, None), at(1, NO)], [False, False]),  # a lost answer may not have been counted
        (0, [at(0, NO)], [True]),
    ],
)
def test_a_limit_was_full_only_for_certain(limit: int, answers: list[TimedAnswer], full: list[bool]) -> None:
    """It was if `limit` others were admitted in every window that the request may belong to."""
    assert was_full(answers, limit=limit, window_s=10, slack_s=0) == full


def test_slack_shortens_the_window_of_a_full_limit() -> None:
    """Clocks that may drift apart by a second within a window make the last second uncertain."""
    for moment, full in ((8.9, True), (9.0, False), (9.5, False)):
        answers = [at(100, YES), at(100 + moment, NO)]
        assert was_full(answers, limit=1, window_s=10, slack_s=1) == [False, full]
    for received, full in ((108.9, True), (109.0, False)):
        answers = [at(100, YES), TimedAnswer(100, received, NO)]
        assert was_full(answers, limit=1, window_s=10, slack_s=1) == [False, full]


def explained(answers: Sequence[TimedAnswer], limit: int, window_s: int, until: int) -> bool:
    """Whether some order of decisions at integer times up to `until` explains all answers: tries every order."""

    def go(left: frozenset[int], now: int, admissions: tuple[int, ...]) -> bool:
        if not left:
            return True
        for index in left:
            answer, rest = answers[index], left - {index}
            if answer.admitted is None and go(rest, now, admissions):
                return True  # it never reached the limiter
            for moment in range(max(now, int(answer.sent_s)), int(min(answer.received_s, until)) + 1):
                room = sum(admission > moment - window_s for admission in admissions) < limit
                if answer.admitted in (None, room) and go(rest, moment, (*admissions, moment) if room else admissions):
                    return True
        return False

    return go(frozenset(range(len(answers))), 0, ())


MOMENTS = st.integers(0, 9)


@st.composite
def any_answer(draw: st.DrawFn) -> TimedAnswer:
    """An arbitrary answer that follows no rule."""
    sent, length, outcome = draw(MOMENTS), draw(st.integers(0, 5)), draw(st.sampled_from([YES, YES, NO, LOST]))
    return TimedAnswer(sent, INF if outcome is None else sent + length, outcome)


@given(st.lists(any_answer(), max_size=5), st.integers(0, 2), st.integers(1, 5))
def test_nothing_is_counted_that_an_order_explains(answers: list[TimedAnswer], limit: int, window_s: int) -> None:
    """No fault is counted if any order of decisions complies with the rule."""
    if explained(answers, limit, window_s, until=14):
        assert wrong(answers, limit, window_s) == (0, 0)


@given(st.dictionaries(MOMENTS, st.booleans(), max_size=7), st.integers(0, 3), st.integers(1, 6))
def test_all_is_counted_when_nothing_is_blurred(outcomes: dict[int, bool], limit: int, window_s: int) -> None:
    """When the time of each decision is known, a fault is counted exactly when the rule was broken."""
    answers = [at(moment, admitted) for moment, admitted in outcomes.items()]
    assert (wrong(answers, limit, window_s) == (0, 0)) == explained(answers, limit, window_s, until=9)


@st.composite
def compliant(draw: st.DrawFn) -> tuple[list[TimedAnswer], int, float]:
    """Draw what clients observe of a limiter that complies with its rule: answers with delays, limit and window."""
    limit, window_s = draw(st.integers(0, 6)), draw(st.floats(0.5, 5))
    admissions: list[float] = []
    answers = []
    for moment in sorted(draw(st.lists(st.floats(0, 20), max_size=60))):
        room = sum(admission > moment - window_s for admission in admissions) < limit
        admissions += [moment] if room else []
        before, after = draw(st.floats(0, 2)), draw(st.floats(0, 2))
        lost = draw(st.integers(0, 9)) == 0
        answers.append(TimedAnswer(moment - before, INF if lost else moment + after, None if lost else room))
    return answers, limit, window_s


@given(compliant(), st.randoms(use_true_random=False))
def test_a_compliant_limiter_has_no_faults(run: tuple[list[TimedAnswer], int, float], chance: object) -> None:
    """No fault is counted, whatever the delays, lost answers and order of the list."""
    answers, limit, window_s = run
    chance.shuffle(answers)  # type: ignore[attr-defined]
    assert false_allows(answers, limit=limit, window_s=window_s) == 0
    assert false_denies(answers, limit=limit, window_s=window_s) == 0


@given(st.integers(1, 50), st.integers(1, 30), st.floats(0.001, 0.4))
def test_a_burst_beyond_the_limit_is_counted_in_full(limit: int, beyond: int, blur_s: float) -> None:
    """Racing admissions within one window: each beyond the limit is certain, however blurred below the window."""
    answers = [TimedAnswer(0.0, blur_s, YES) for _ in range(limit + beyond)]
    assert wrong(answers, limit, 1.0) == (beyond, 0)
