"""Compliance with limits, judged from the evidence: certain faults, and responses that could have revealed one."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaia_checks.judge.admissions import TimedAnswer, false_allows, false_denies, had_room, was_full
from gaia_checks.judge.check_rules import RULES, Analysis
from gaia_checks.judge.limit_compliance import Compliance, compliance
from gaia_checks.model import Check, Finding, Measurement, State
from tests.judge.test_admissions import compliant

YES, NO, UNKNOWN = True, False, None
MS = 1000


def one(rules: list[tuple[int, float]], *answers: tuple[float, bool | None]) -> Compliance:
    """Judge one key: (moment in s, whether it was admitted), each decided within 2 ms."""
    records = [[int(at_s * 1e6), None if admitted is None else 2 * MS, admitted] for at_s, admitted in answers]
    written = json.loads(json.dumps([{"key": "k", "rules": rules, "answers": records}]))
    return compliance(written)[0]


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
def test_counts_certain_faults(
    rules: list[tuple[int, float]], answers: list[tuple[float, bool | None]], allows: int, denies: int
) -> None:
    """Certain faults are counted under one rule and under two."""
    found = one(rules, *answers)
    assert (found.false_allows, found.false_denies) == (allows, denies)


@pytest.mark.parametrize(
    ("answers", "allow", "deny"),
    [
        ([(0, YES), (0.5, NO), (1.1, YES)], 1, 2),  # the refusal, had it been an admission, and either admission
        ([(0, YES), (0.5, YES)], 0, 1),  # an admission to a full window could not have revealed a refusal
        ([(0, NO)], 0, 0),
        ([(0, UNKNOWN), (0.1, NO)], 0, 0),
    ],
)
def test_counts_the_answers_that_could_have_revealed_a_fault(
    answers: list[tuple[float, bool | None]], allow: int, deny: int
) -> None:
    """Only answers whose opposite would have been certainly wrong."""
    found = one([(1, 1)], *answers)
    assert (found.could_allow, found.could_deny) == (allow, deny)


@pytest.mark.parametrize(("late_s", "wrong"), [(0.025, 0), (0.04, 1)])
def test_clocks_may_drift_as_clocks_do(late_s: float, wrong: int) -> None:
    """A minute on two clocks may differ by 30 ms, and no more."""
    assert one([(1, 60)], (0, YES), (60 + 0.002 + late_s, NO)).false_denies == wrong
    assert one([(1, 60)], (0, YES), (60 - 0.002 - late_s, YES)).false_allows == wrong


@given(compliant())
def test_responses_that_could_reveal_a_fault_are_known(run: tuple[list[TimedAnswer], int, float]) -> None:
    """An answer that could reveal a fault reveals one when its outcome is reversed."""
    answers, limit, window_s = run
    room = had_room(answers, limit=limit, window_s=window_s)
    full = was_full(answers, limit=limit, window_s=window_s)
    for index, answer in enumerate(answers):
        reversed_ = [*answers]
        reversed_[index] = replace(answer, admitted=not answer.admitted)
        if answer.admitted is True:
            assert had_room(reversed_, limit=limit, window_s=window_s)[index] is room[index]
            assert not room[index] or false_denies(reversed_, limit=limit, window_s=window_s)
        if answer.admitted is False:
            assert not full[index] or false_allows(reversed_, limit=limit, window_s=window_s)


@given(st.integers(1, 20), st.floats(0.0, 0.9))
def test_a_full_window_shows_a_fault_unless_answers_are_slow(limit: int, blur_s: float) -> None:
    """After a limit is used up at once, every refusal could reveal a fault until the window may have moved on."""
    answers = [TimedAnswer(0, 0.01, YES)] * limit + [TimedAnswer(0.05, 0.05 + blur_s, NO), TimedAnswer(0.05, 1.2, NO)]
    assert was_full(answers, limit=limit, window_s=1)[limit:] == [True, False]
    assert had_room(answers, limit=limit, window_s=1)[:limit] == [True] * limit


ALLOWS = Check("limits.answers", "false_allows", 0, "count", min_n=2)
DENIES = Check("limits.answers", "false_denies", 0, "count", min_n=2)


def found(check: Check, *answers: tuple[float, bool | None]) -> Finding:
    """Return a rule's finding about one key with a limit of 2 in a second."""
    records = [[int(at_s * 1e6), 2 * MS, admitted] for at_s, admitted in answers]
    value: list[dict[str, Any]] = [{"key": "k", "rules": [[2, 1]], "answers": records}]
    measurement = Measurement("limits.answers", value, "us", len(answers), 60, "", "")
    return RULES[check.rule](check, measurement, Analysis((60,), 0, rehearsal=True))


@pytest.mark.parametrize(
    ("check", "answers", "state", "why"),
    [
        (
            ALLOWS,
            [(0, YES), (0.1, YES), (0.2, NO), (0.3, NO)],
            State.PASS,
            "0 admissions beyond a limit; 2 responses could have revealed one",
        ),
        (
            ALLOWS,
            [(0, YES), (0.1, YES), (0.2, NO), (0.3, YES)],
            State.FAIL,
            "at least 1 admissions beyond a limit, most of them by k, 2 in 1 s",
        ),
        (
            ALLOWS,
            [(0, YES), (0.1, YES), (0.2, NO)],
            State.INCONCLUSIVE,
            "only 1 responses were fast enough to reveal admissions beyond a limit; required: 2",
        ),
        (DENIES, [(0, YES), (0.1, YES)], State.PASS, "0 refusals within a limit; 2 responses could have revealed one"),
        (
            DENIES,
            [(0, NO), (0.1, NO), (0.2, YES)],
            State.FAIL,
            "at least 2 refusals within a limit, most of them by k, 2 in 1 s",
        ),
        (
            DENIES,
            [(0, YES)],
            State.INCONCLUSIVE,
            "only 1 responses were fast enough to reveal refusals within a limit; required: 2",
        ),
    ],
)
def test_a_pass_needs_answers_that_could_have_shown_a_fault(
    check: Check, answers: list[tuple[float, bool | None]], state: State, why: str
) -> None:
    """Any certain fault fails; without a fault, a pass requires enough answers that could have revealed one."""
    finding = found(check, *answers)
    assert (finding.state, finding.why) == (state, why)
