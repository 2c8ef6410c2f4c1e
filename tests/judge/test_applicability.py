"""Criteria that do not apply to a target: by a measured fact, and counted neither for nor against."""

from dataclasses import replace

import pytest

from gaia_checks.judge import applicability, judgement
from gaia_checks.model import Measurement, State
from tests.judge.test_judgement import AT_MOST, criterion, judged, measured

SECURE_ONLY = replace(criterion(AT_MOST), applies_when="tls")
ABSENT = replace(measured("target.tls", False, n=1), how="the address is plain http")
PRESENT = measured("target.tls", True, n=1)
GOOD, BAD = measured("look.errors", 0), measured("look.errors", 1)


@pytest.mark.parametrize(
    ("measurements", "state"),
    [
        ([ABSENT], State.NOT_APPLICABLE),
        ([ABSENT, ABSENT], State.NOT_APPLICABLE),
        ([PRESENT], State.INCONCLUSIVE),
        ([PRESENT, GOOD], State.PASS),
        ([PRESENT, BAD], State.FAIL),
        ([], State.INCONCLUSIVE),
        ([BAD], State.FAIL),
        ([ABSENT, PRESENT], State.INCONCLUSIVE),
        ([ABSENT, PRESENT, BAD], State.FAIL),
        ([replace(ABSENT, n=0)], State.INCONCLUSIVE),
        ([replace(ABSENT, value=None)], State.INCONCLUSIVE),
        ([replace(ABSENT, name="target.other")], State.INCONCLUSIVE),
    ],
)
def test_only_a_measured_absence_makes_it_not_applicable(measurements: list[Measurement], state: State) -> None:
    """A fact that is present, unknown or contradictory excuses nothing."""
    assert judged(SECURE_ONLY, *measurements).state is state


def test_a_criterion_without_applies_when_always_applies() -> None:
    """The facts of the target concern only those that name one."""
    assert judged(criterion(AT_MOST), ABSENT, BAD).state is State.FAIL


def test_the_verdict_has_the_reason_and_the_threshold_and_no_numbers() -> None:
    """The report shows what would have been required, and why it was not."""
    result = judged(SECURE_ONLY, ABSENT)
    assert (result.why, result.threshold, result.unit) == ("the address is plain http", 0, "count")
    assert (result.measured, result.bound, result.n, result.checks) == (None, None, 0, ())


def test_without_its_limits_a_criterion_is_measured_and_not_judged() -> None:
    """Neither a good nor a bad measurement makes a pass or a failure of it, and no test has to be skipped for it."""
    unlimited = replace(criterion(AT_MOST), lacks_limits=True)
    for measurement in (GOOD, BAD):
        result = judged(unlimited, measurement)
        assert (result.state, result.why) == (State.NOT_APPLICABLE, "the environment file gives no limits for it")
    assert applicability.why_not(unlimited, [GOOD]) is None
    assert applicability.why_not_judged(replace(unlimited, applies_when="tls"), [ABSENT]) == ABSENT.how


@pytest.mark.parametrize("end", [[], [measured("gate.outcome.dev.thing", "skipped: plain http")]])
def test_it_depends_on_the_target_alone(end: list[Measurement]) -> None:
    """Whether its test was skipped or deselected does not matter: it could not have measured anything."""
    assert judgement.judge([SECURE_ONLY], [ABSENT, *end], rehearsal=False)[0].state is State.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("others", "stage"),
    [
        ([State.PASS], State.PASS),
        ([State.PASS, State.FAIL], State.FAIL),
        ([State.PASS, State.INCONCLUSIVE], State.INCONCLUSIVE),
        ([], State.INCONCLUSIVE),
        ([State.NOT_APPLICABLE], State.INCONCLUSIVE),
    ],
)
def test_it_counts_neither_for_nor_against_and_makes_nothing_pass(others: list[State], stage: State) -> None:
    """The other criteria decide; a stage to which nothing applies is inconclusive."""
    one = judged(SECURE_ONLY, ABSENT)
    assert judgement.overall([one, *(replace(one, state=state) for state in others)]) is stage


def test_it_does_not_extend_a_load() -> None:
    """No later analysis can decide it."""
    assert not judgement.undecided(replace(SECURE_ONLY, looks_s=(5, 10)), [ABSENT, GOOD], rehearsal=False)


def test_a_fact_has_one_name() -> None:
    """The gate measures it under the name by which the judge finds it."""
    assert applicability.fact_name("tls") == ABSENT.name
