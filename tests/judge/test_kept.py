"""Limits judged from the evidence: what is certainly wrong, and what would have been."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaia_checks.judge.admissions import Answer, false_allows, false_denies, had_room, was_full
from gaia_checks.judge.kept import Kept, kept
from gaia_checks.judge.rules import RULES, Look
from gaia_checks.model import Check, Finding, Measurement, State
from tests.judge.test_admissions import kept as by_a_right_limiter

YES, NO, UNKNOWN = True, False, None
MS = 1000


def one(rules: list[tuple[int, float]], *answers: tuple[float, bool | None]) -> Kept:
    """Judge one key: (moment in s, whether it was admitted), each decided within 2 ms."""
    records = [[int(at_s * 1e6), None if admitted is None else 2 * MS, admitted] for at_s, admitted in answers]
    written = json.loads(json.dumps([{"key": "k", "rules": rules, "answers": records}]))
    return kept(written)[0]


@pytest.mark.parametrize(
    ("rules", "answers", "allows", "denies"),
    [
        ([(1, 1)], [(0, YES), (0.5, NO), (1.1, YES)], 0, 0),
        ([(1, 1)], [(0, YES), (0.5, YES)], 1, 0),
        ([(1, 1)], [(0, YES), (1.1, NO)], 0, 1),
        ([(1, 1)], [(0, UNKNOWN), (9, NO), (9.5, NO)], 0, 0),  # it may have been counted at 8.9, say
        # two rules: a refusal needs one of them, an admission both
        ([(1, 1), (2, 60)], [(0, YES), (0.5, NO), (1.1, YES), (2.2, NO)], 0, 0),
        ([(1, 1), (2, 60)], [(0, YES), (1.1, NO)], 0, 1),
        ([(1, 1), (2, 60)], [(0, YES), (1.1, YES), (2.2, YES)], 1, 0),
        ([(2, 1), (2, 60)], [(0, YES), (0.1, YES), (0.2, YES)], 1, 0),  # one too many by both is one
    ],
)
def test_what_is_certainly_wrong(
    rules: list[tuple[int, float]], answers: list[tuple[float, bool | None]], allows: int, denies: int
) -> None:
    """Under one rule and under two."""
    found = one(rules, *answers)
    assert (found.false_allows, found.false_denies) == (allows, denies)


@pytest.mark.parametrize(("late_s", "wrong"), [(0.025, 0), (0.04, 1)])
def test_clocks_may_drift_as_clocks_do(late_s: float, wrong: int) -> None:
    """A minute on two clocks may differ by 30 ms, and no more."""
    assert one([(1, 60)], (0, YES), (60 + 0.002 + late_s, NO)).false_denies == wrong
    assert one([(1, 60)], (0, YES), (60 - 0.002 - late_s, YES)).false_allows == wrong


@given(by_a_right_limiter())
def test_what_would_have_been_wrong_is_known(run: tuple[list[Answer], int, float]) -> None:
    """An answer that could show a fault shows one when it is turned round."""
    answers, limit, window_s = run
    room = had_room(answers, limit=limit, window_s=window_s)
    full = was_full(answers, limit=limit, window_s=window_s)
    for place, answer in enumerate(answers):
        turned = [*answers]
        turned[place] = replace(answer, admitted=not answer.admitted)
        if answer.admitted is True:
            assert had_room(turned, limit=limit, window_s=window_s)[place] is room[place]
            assert not room[place] or false_denies(turned, limit=limit, window_s=window_s)
        if answer.admitted is False:
            assert not full[place] or false_allows(turned, limit=limit, window_s=window_s)


@given(st.integers(1, 20), st.floats(0.0, 0.9))
def test_a_full_window_shows_a_fault_unless_answers_are_slow(limit: int, blur_s: float) -> None:
    """Of a limit used up within a moment, every refusal could show a fault until the window may have moved on."""
    answers = [Answer(0, 0.01, YES)] * limit + [Answer(0.05, 0.05 + blur_s, NO), Answer(0.05, 1.2, NO)]
    assert was_full(answers, limit=limit, window_s=1)[limit:] == [True, False]
    assert had_room(answers, limit=limit, window_s=1)[:limit] == [True] * limit


ALLOWS = Check("limits.answers", "false_allows", 0, "count", min_n=2)
DENIES = Check("limits.answers", "false_denies", 0, "count", min_n=2)


def found(check: Check, *answers: tuple[float, bool | None]) -> Finding:
    """What a rule finds about one key with a limit of 2 in a second."""
    records = [[int(at_s * 1e6), 2 * MS, admitted] for at_s, admitted in answers]
    value: list[dict[str, Any]] = [{"key": "k", "rules": [[2, 1]], "answers": records}]
    measurement = Measurement("limits.answers", value, "us", len(answers), 60, "", "")
    return RULES[check.rule](check, measurement, Look((60,), 0, rehearsal=True))


@pytest.mark.parametrize(
    ("check", "answers", "state", "why"),
    [
        (
            ALLOWS,
            [(0, YES), (0.1, YES), (0.2, NO), (0.3, NO)],
            State.PASS,
            "0 admissions beyond a limit; 2 answers would have shown one",
        ),
        (
            ALLOWS,
            [(0, YES), (0.1, YES), (0.2, NO), (0.3, YES)],
            State.FAIL,
            "1 admissions beyond a limit at least, most of them by k, 2 in 1 s",
        ),
        (
            ALLOWS,
            [(0, YES), (0.1, YES), (0.2, NO)],
            State.INCONCLUSIVE,
            "only 1 answers came quickly enough to show admissions beyond a limit; it takes 2",
        ),
        (DENIES, [(0, YES), (0.1, YES)], State.PASS, "0 refusals within a limit; 2 answers would have shown one"),
        (
            DENIES,
            [(0, NO), (0.1, NO), (0.2, YES)],
            State.FAIL,
            "2 refusals within a limit at least, most of them by k, 2 in 1 s",
        ),
        (
            DENIES,
            [(0, YES)],
            State.INCONCLUSIVE,
            "only 1 answers came quickly enough to show refusals within a limit; it takes 2",
        ),
    ],
)
def test_a_pass_needs_answers_that_could_have_shown_a_fault(
    check: Check, answers: list[tuple[float, bool | None]], state: State, why: str
) -> None:
    """A fault is a fault however few there are; no fault says little where none could be seen."""
    finding = found(check, *answers)
    assert (finding.state, finding.why) == (state, why)
