"""Criteria x measurements -> verdict. Pure: opens no file, reads no clock.

Three rules take precedence. Missing evidence decides nothing: without samples, over too short a
window, or when the test did not run to its end, a criterion is inconclusive, never passed. An observed failure is
final: it needs no full window. And the generator is judged first: while a check of the load generator fails, its
measurements neither pass nor fail the server. A criterion that does not apply to the target counts neither for nor
against the stage.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gaia_checks.judge import analyses, applicability, stalls
from gaia_checks.judge.check_rules import RELATIONS, RULES, STATISTICAL, Analysis, found
from gaia_checks.judge.growing import at_best, judged_next_s
from gaia_checks.model import Check, Criterion, CriterionVerdict, Finding, Measurement, State

FINISHED = "gate.finished"
"""The measurement that the gate writes last. Without it the gate was killed before its end."""

UNDECIDED = "inconclusive: "
"""Prefix of the outcome of a test that gave its own reason for not deciding."""

CUT_SHORT = "observed "
"""Prefix of the reason where the window was not observed to its end."""

BUSY, UNRELIABLE = "other processes kept this machine busy", "the load generator is unreliable"
"""Prefixes of the reason where this machine, not the server, is in doubt."""

_WORST_FIRST = (State.FAIL, State.INCONCLUSIVE, State.PASS)


def outcome_name(criterion_id: str) -> str:
    """Return the name of the measurement that records the outcome of a criterion's test."""
    return f"gate.outcome.{criterion_id}"


def judge(
    criteria: Sequence[Criterion], measurements: Sequence[Measurement], *, rehearsal: bool
) -> tuple[CriterionVerdict, ...]:
    """Judge a finished gate: every criterion on its measurements and on whether its test ran."""
    finished = any(measurement.name == FINISHED for measurement in measurements)
    return tuple(
        _complete(
            judge_measured(criterion, measurements, rehearsal=rehearsal),
            measurements,
            {check.measurement for check in criterion.checks if check.closing},
            finished=finished,
        )
        for criterion in criteria
    )


def unmeasured(criterion: Criterion, state: State, why: str) -> CriterionVerdict:
    """Return the verdict of a criterion of which nothing was measured."""
    first = next(check for check in criterion.checks if not check.generator)
    return CriterionVerdict(
        id=criterion.id,
        claim=criterion.claim,
        state=state,
        why=why,
        measured=None,
        bound=None,
        threshold=first.threshold,
        unit=first.unit,
        n=0,
        needs_s=None,
        relation=RELATIONS.get(first.rule, ""),
    )


def judge_measured(criterion: Criterion, measurements: Sequence[Measurement], *, rehearsal: bool) -> CriterionVerdict:
    """Judge one criterion on its measurements alone, at every analysis of the growing sample.

    The first analysis that decides gives the verdict, but a failure at any analysis is final.
    """
    verdicts = _at_each_look(criterion, measurements, rehearsal=rehearsal)
    for state in (State.FAIL, State.PASS):
        for verdict in verdicts:
            if verdict.state is state:
                return verdict
    return verdicts[-1]


def undecided(criterion: Criterion, measurements: Sequence[Measurement], *, rehearsal: bool) -> bool:
    """Whether a later analysis of the same, longer sample follows and may decide what this one did not."""
    verdicts = _at_each_look(criterion, measurements, rehearsal=rehearsal)
    if len(verdicts) == len(criterion.looks_s) or any(each.state is not State.INCONCLUSIVE for each in verdicts):
        return False
    rules = {check.measurement: check.rule for check in criterion.checks if not check.excuses}
    still_open = [each for each in verdicts[-1].checks if each.measurement in rules and each.state is not State.PASS]
    return all(rules[finding.measurement] in STATISTICAL and finding.n > 0 for finding in still_open)


def _at_each_look(
    criterion: Criterion, measurements: Sequence[Measurement], *, rehearsal: bool
) -> list[CriterionVerdict]:
    """Judge every analysis on its own measurements, from the first to the last that was made."""
    if why := applicability.why_not_judged(criterion, measurements):
        return [unmeasured(criterion, State.NOT_APPLICABLE, why)]
    names = {name for check in criterion.checks for name in (check.measurement, check.explained_by)}
    by_look: dict[int, list[Measurement]] = {}
    for measurement in measurements:
        if measurement.name in names:
            number = analyses.look_at(measurement.window_s, criterion.looks_s)
            by_look.setdefault(number, []).append(measurement)
    return [
        _judge_look(criterion, by_look.get(number, []), Analysis(criterion.looks_s, number, rehearsal))
        for number in range(max(by_look, default=0) + 1)
    ]


def _judge_look(criterion: Criterion, measurements: Iterable[Measurement], look: Analysis) -> CriterionVerdict:
    """Judge one analysis. A measurement that was made twice must pass twice."""
    by_name: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        by_name.setdefault(measurement.name, []).append(measurement)
    findings = tuple(finding for check in criterion.checks for finding in _find(check, by_name, criterion, look))
    decisive = _decisive(criterion.checks, findings)
    return CriterionVerdict(
        id=criterion.id,
        claim=criterion.claim,
        state=decisive.state,
        why=decisive.why + _when(look, max((each.window_s for same in by_name.values() for each in same), default=0.0)),
        measured=decisive.measured,
        bound=decisive.bound,
        threshold=decisive.threshold,
        unit=decisive.unit,
        n=decisive.n,
        needs_s=decisive.needs_s,
        checks=findings,
        relation=decisive.relation,
    )


def _when(look: Analysis, observed_s: float) -> str:
    """Name the analysis, where there may be several, or the time at which it was cut short before the first."""
    if len(look.ends_s) == 1 or not observed_s:
        return ""
    which, end_s = f"analysis {look.number + 1} of {len(look.ends_s)}", look.ends_s[look.number]
    short = observed_s < look.ends_s[0]
    return f"; after {observed_s:.0f} s, before {which}" if short else f"; {which}, after {end_s:g} s"


def overall(criteria: Sequence[CriterionVerdict]) -> State:
    """Return the worst state of all that apply; a stage without an applicable criterion is inconclusive."""
    states = {criterion.state for criterion in criteria} - {State.NOT_APPLICABLE} or {State.INCONCLUSIVE}
    return next(state for state in _WORST_FIRST if state in states)


def _complete(
    verdict: CriterionVerdict, measurements: Sequence[Measurement], closing: set[str], *, finished: bool
) -> CriterionVerdict:
    """Revoke a pass unless the criterion's test ran to its end and passed, in a gate that finished and closed."""
    outcomes = [str(each.value) for each in measurements if each.name == outcome_name(verdict.id)]
    if verdict.state in (State.FAIL, State.NOT_APPLICABLE):
        return verdict
    if not outcomes:
        return _inconclusive(
            verdict, "not checked: its test did not run (deselected, missing, or the gate stopped earlier)"
        )
    if other := [outcome for outcome in outcomes if outcome != "passed"]:
        return _inconclusive(verdict, _reason(other[0]))
    if verdict.state is State.PASS and not finished:
        return _inconclusive(verdict, "the gate was stopped before it finished; run it again")
    measured = {measurement.name for measurement in measurements}
    if verdict.state is State.PASS and (missing := closing - measured):
        return _inconclusive(verdict, f"{min(missing)} was not measured when the gate closed")
    return verdict


def _reason(outcome: str) -> str:
    """Return why a test that did not pass decided nothing."""
    if outcome.startswith(UNDECIDED):
        return outcome.removeprefix(UNDECIDED)
    return f"its test did not run to its end: {outcome}"


def _inconclusive(verdict: CriterionVerdict, why: str) -> CriterionVerdict:
    needs_s = verdict.needs_s if why == verdict.why else None  # no longer window helps against another reason
    return replace(verdict, state=State.INCONCLUSIVE, why=why, needs_s=needs_s)


def _decisive(checks: Sequence[Check], findings: Sequence[Finding]) -> Finding:
    """Return the finding that represents the criterion.

    A certain failure comes first, then a generator check that does not pass, then the worst; an excuse only where that
    is a failure. When all
    pass, or there are no samples, it is the criterion's own first check: criteria.toml lists the one that the claim is
    about first.
    """
    excuses = {check.measurement for check in checks if check.excuses}
    generator = {check.measurement for check in checks if check.generator} - excuses
    own = [finding for finding in findings if finding.measurement not in generator | excuses]
    if all(finding.n == 0 for finding in findings):
        return own[0]
    certain = {check.measurement for check in checks if check.certain}
    for finding in own:
        if finding.measurement in certain and finding.state is State.FAIL:
            return finding
    for finding in findings:
        if finding.measurement in generator and finding.state is not State.PASS:
            return finding
    worst = min(own, key=lambda finding: _WORST_FIRST.index(finding.state))
    if worst.state is State.FAIL:
        excused = (each for each in findings if each.measurement in excuses and each.n and each.state is not State.PASS)
        return next(excused, worst)
    return own[0] if worst.state is State.PASS else worst


def _find(
    check: Check, by_name: Mapping[str, Sequence[Measurement]], criterion: Criterion, look: Analysis
) -> Iterable[Finding]:
    measurements = by_name.get(check.measurement, [])
    if check.closing and not measurements:
        return  # the gate has not closed; `_complete` requires it when it has
    if check.optional and measurements:
        measurements = [measurement for measurement in measurements if measurement.n > 0]
    elif not measurements:
        yield found(check, State.INCONCLUSIVE, f"{check.measurement} was not measured")
    for measurement in measurements:
        yield _judge_one(check, measurement, criterion, look, by_name.get(check.explained_by or "", []))


def _judge_one(
    check: Check, measurement: Measurement, criterion: Criterion, look: Analysis, explaining: Sequence[Measurement]
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
        if finding.state is State.FAIL and not (check.on_copy or _is_certain(check, measurement, criterion, look)):
            finding = _cut_short(finding, measurement, criterion)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        return found(check, State.INCONCLUSIVE, f"{check.measurement} cannot be read: {error!r}", measurement.n)
    same = [each for each in explaining if each.window_s == measurement.window_s]
    if finding.state is State.FAIL and same:
        return stalls.reconsidered(
            check, finding, measurement, same[-1], lambda rest: RULES[check.rule](check, rest, look)
        )
    if check.generator and finding.state is State.FAIL:
        doubt = BUSY if check.excuses else UNRELIABLE
        return replace(finding, state=State.INCONCLUSIVE, why=f"{doubt}: {finding.why}")
    if finding.state is State.PASS and measurement.n < check.min_n:
        return replace(finding, state=State.INCONCLUSIVE, why=f"{measurement.n} samples, required: {check.min_n}")
    # a generator is judged on the requests it has sent; the criterion's own checks judge whether they were enough
    needs_window = not (check.generator or check.closing or check.on_copy)
    if finding.state is State.PASS and needs_window and measurement.window_s < criterion.window_s:
        return _cut_short(finding, measurement, criterion)
    return finding


def _is_certain(check: Check, measurement: Measurement, criterion: Criterion, look: Analysis) -> bool:
    """Whether a failure remains one at the next analysis, even if the rest until then is flawless."""
    finished = at_best(measurement, criterion)
    return finished is measurement or RULES[check.rule](check, finished, look).state is State.FAIL


def _cut_short(finding: Finding, measurement: Measurement, criterion: Criterion) -> Finding:
    end_s = judged_next_s(measurement.window_s, criterion.looks_s)
    return replace(
        finding,
        state=State.INCONCLUSIVE,
        why=f"{CUT_SHORT}{measurement.window_s:.0f} s of {end_s:.0f} s",
        needs_s=end_s - measurement.window_s,
    )
