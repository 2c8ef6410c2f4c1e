"""Criteria x measurements -> verdict. Pure: opens no file, reads no clock.

Three rules stand above all others. What was not observed decides nothing: without samples, over too short a
window, or when the test did not run to its end, a criterion is inconclusive, never passed. What was seen to
be wrong stays wrong: a failure needs no full window. And the generator is judged first: while a check of
the load generator does not hold, nothing that it measured is held against the server, or for it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gaia_checks.judge import looks, stalls
from gaia_checks.judge.growing import at_best, judged_next_s
from gaia_checks.judge.rules import RULES, STATISTICAL, Look, found
from gaia_checks.model import Check, Criterion, CriterionVerdict, Finding, Measurement, State

FINISHED = "gate.finished"
"""The measurement that the gate writes last. Without it the gate was killed on the way."""

UNDECIDED = "inconclusive: "
"""How the outcome of a test begins that said itself why it could not decide."""

_WORST_FIRST = (State.FAIL, State.INCONCLUSIVE, State.PASS)


def outcome_name(criterion_id: str) -> str:
    """Return the name of the measurement that says how a criterion's test ended."""
    return f"gate.outcome.{criterion_id}"


def judge(
    criteria: Sequence[Criterion], measurements: Sequence[Measurement], *, rehearsal: bool
) -> tuple[CriterionVerdict, ...]:
    """Judge a gate that has ended: every criterion on what was measured and on whether its test really ran."""
    finished = any(measurement.name == FINISHED for measurement in measurements)
    return tuple(
        _complete(judge_measured(criterion, measurements, rehearsal=rehearsal), measurements, finished=finished)
        for criterion in criteria
    )


def judge_measured(criterion: Criterion, measurements: Iterable[Measurement], *, rehearsal: bool) -> CriterionVerdict:
    """Judge one criterion on its measurements alone, at every look at the growing sample that was taken.

    The first look that decides is the verdict; but what any analysis has found wrong stays wrong.
    """
    verdicts = _at_each_look(criterion, measurements, rehearsal=rehearsal)
    for state in (State.FAIL, State.PASS):
        for verdict in verdicts:
            if verdict.state is state:
                return verdict
    return verdicts[-1]


def undecided(criterion: Criterion, measurements: Iterable[Measurement], *, rehearsal: bool) -> bool:
    """Whether another look at the same sample, grown longer, is to come and may decide what this one did not."""
    verdicts = _at_each_look(criterion, measurements, rehearsal=rehearsal)
    if len(verdicts) == len(criterion.looks_s) or any(each.state is not State.INCONCLUSIVE for each in verdicts):
        return False
    rules = {check.measurement: check.rule for check in criterion.checks if not check.excuses}
    still_open = [each for each in verdicts[-1].checks if each.measurement in rules and each.state is not State.PASS]
    return all(rules[finding.measurement] in STATISTICAL and finding.n > 0 for finding in still_open)


def _at_each_look(
    criterion: Criterion, measurements: Iterable[Measurement], *, rehearsal: bool
) -> list[CriterionVerdict]:
    """Judge every look on its own measurements, from the first to the last that was taken."""
    wanted = {name for check in criterion.checks for name in (check.measurement, check.explained_by)}
    by_look: dict[int, list[Measurement]] = {}
    for measurement in measurements:
        if measurement.name in wanted:
            number = looks.look_at(measurement.window_s, criterion.looks_s)
            by_look.setdefault(number, []).append(measurement)
    return [
        _judge_look(criterion, by_look.get(number, []), Look(criterion.looks_s, number, rehearsal))
        for number in range(max(by_look, default=0) + 1)
    ]


def _judge_look(criterion: Criterion, measurements: Iterable[Measurement], look: Look) -> CriterionVerdict:
    """Judge one look. A name measured twice must hold twice."""
    by_name: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        by_name.setdefault(measurement.name, []).append(measurement)
    findings = tuple(finding for check in criterion.checks for finding in _find(check, by_name, criterion, look))
    decisive = _decisive(criterion.checks, findings)
    return CriterionVerdict(
        id=criterion.id,
        claim=criterion.claim,
        state=decisive.state,
        why=decisive.why + _when(look, max((each.window_s for seen in by_name.values() for each in seen), default=0.0)),
        measured=decisive.measured,
        bound=decisive.bound,
        threshold=decisive.threshold,
        unit=decisive.unit,
        n=decisive.n,
        needs_s=decisive.needs_s,
        checks=findings,
    )


def _when(look: Look, looked_s: float) -> str:
    """Say at which look, where there may be several, or that it was cut short before the first."""
    if len(look.ends_s) == 1 or not looked_s:
        return ""
    which, end_s = f"look {look.number + 1} of {len(look.ends_s)}", look.ends_s[look.number]
    short = looked_s < look.ends_s[0]
    return f"; after {looked_s:.0f} s, before {which}" if short else f"; {which}, after {end_s:g} s"


def overall(criteria: Sequence[CriterionVerdict]) -> State:
    """Return the worst state of all; a stage without criteria is inconclusive."""
    states = {criterion.state for criterion in criteria} or {State.INCONCLUSIVE}
    return next(state for state in _WORST_FIRST if state in states)


def _complete(verdict: CriterionVerdict, measurements: Sequence[Measurement], *, finished: bool) -> CriterionVerdict:
    """Take a pass back unless the criterion's test ran to its end and passed, in a gate that finished."""
    outcomes = [str(seen.value) for seen in measurements if seen.name == outcome_name(verdict.id)]
    if verdict.state is State.FAIL:
        return verdict
    if not outcomes:
        return _inconclusive(
            verdict, "not measured: its test did not run (deselected, missing, or the gate ended before)"
        )
    if other := [outcome for outcome in outcomes if outcome != "passed"]:
        return _inconclusive(verdict, _said(other[0]))
    if verdict.state is State.PASS and not finished:
        return _inconclusive(verdict, "the gate was ended before it had finished; run it again")
    return verdict


def _said(outcome: str) -> str:
    """Return why a test that did not pass decided nothing."""
    if outcome.startswith(UNDECIDED):
        return outcome.removeprefix(UNDECIDED)
    return f"its test did not run to its end: {outcome}"


def _inconclusive(verdict: CriterionVerdict, why: str) -> CriterionVerdict:
    return replace(verdict, state=State.INCONCLUSIVE, why=why)


def _decisive(checks: Sequence[Check], findings: Sequence[Finding]) -> Finding:
    """Return the finding that speaks for the criterion.

    A generator check that does not hold comes first, then the worst; an excuse only where that is a failure. When all
    hold, or nothing was seen, it is the criterion's own first check: criteria.toml puts the one that the claim is
    about there.
    """
    excuses = {check.measurement for check in checks if check.excuses}
    generator = {check.measurement for check in checks if check.generator} - excuses
    own = [finding for finding in findings if finding.measurement not in generator | excuses]
    if all(finding.n == 0 for finding in findings):
        return own[0]
    for finding in findings:
        if finding.measurement in generator and finding.state is not State.PASS:
            return finding
    worst = min(own, key=lambda finding: _WORST_FIRST.index(finding.state))
    if worst.state is State.FAIL:
        excused = (each for each in findings if each.measurement in excuses and each.n and each.state is not State.PASS)
        return next(excused, worst)
    return own[0] if worst.state is State.PASS else worst


def _find(
    check: Check, by_name: Mapping[str, Sequence[Measurement]], criterion: Criterion, look: Look
) -> Iterable[Finding]:
    measurements = by_name.get(check.measurement, [])
    if not measurements:
        yield found(check, State.INCONCLUSIVE, f"{check.measurement} was not measured")
    for measurement in measurements:
        yield _judge_one(check, measurement, criterion, look, by_name.get(check.explained_by or "", []))


def _judge_one(
    check: Check, measurement: Measurement, criterion: Criterion, look: Look, explaining: Sequence[Measurement]
) -> Finding:
    if measurement.n <= 0:
        reason = measurement.notes[0] if measurement.notes else f"{check.measurement} has no samples"
        return found(check, State.INCONCLUSIVE, reason)
    if isinstance(measurement.value, float) and not math.isfinite(measurement.value):
        return found(
            check, State.INCONCLUSIVE, f"{check.measurement} is {measurement.value}, not a number", measurement.n
        )
    try:
        finding = RULES[check.rule](check, measurement, look)
        if finding.state is State.FAIL and not _is_certain(check, measurement, criterion, look):
            finding = _cut_short(finding, measurement, criterion)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        return found(check, State.INCONCLUSIVE, f"{check.measurement} cannot be read: {error!r}", measurement.n)
    same = [each for each in explaining if each.window_s == measurement.window_s]
    if finding.state is State.FAIL and same:
        return stalls.reconsidered(
            check, finding, measurement, same[-1], lambda rest: RULES[check.rule](check, rest, look)
        )
    if check.generator and finding.state is State.FAIL:
        doubt = "this machine was busy with something else" if check.excuses else "the load generator is unreliable"
        return replace(finding, state=State.INCONCLUSIVE, why=f"{doubt}: {finding.why}")
    if finding.state is State.PASS and measurement.n < check.min_n:
        return replace(
            finding, state=State.INCONCLUSIVE, why=f"{measurement.n} of at least {check.min_n} samples observed"
        )
    # a generator is judged on what it has sent; whether that was enough, the criterion's own checks say
    if finding.state is State.PASS and not check.generator and measurement.window_s < criterion.window_s:
        return _cut_short(finding, measurement, criterion)
    return finding


def _is_certain(check: Check, measurement: Measurement, criterion: Criterion, look: Look) -> bool:
    """Whether a failure stays one at the next look, however flawless the rest until then."""
    finished = at_best(measurement, criterion)
    return finished is measurement or RULES[check.rule](check, finished, look).state is State.FAIL


def _cut_short(finding: Finding, measurement: Measurement, criterion: Criterion) -> Finding:
    end_s = judged_next_s(measurement.window_s, criterion.looks_s)
    return replace(
        finding,
        state=State.INCONCLUSIVE,
        why=f"looked for {measurement.window_s:.0f} s of {end_s:.0f} s",
        needs_s=end_s - measurement.window_s,
    )
