"""Criteria x measurements -> verdict. Pure: opens no file, reads no clock.

Three rules stand above all others. What was not seen decides nothing: without samples, over too short a
window, or when the test did not run to its end, a criterion is inconclusive, never passed. What was seen to
be wrong stays wrong: a failure needs no full window. And the generator is judged first: while a check of
the load generator does not hold, nothing that it measured is held against the server, or for it.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from gaia_checks.judge import statistics
from gaia_checks.model import Check, Criterion, CriterionVerdict, Finding, Measurement, State

FINISHED = "gate.finished"
"""The measurement that the gate writes last. Without it the gate was killed on the way."""

UNDECIDED = "inconclusive: "
"""How the outcome of a test begins that said itself why it could not decide."""

_WORST_FIRST = (State.FAIL, State.INCONCLUSIVE, State.PASS)

Rule = Callable[[Check, Measurement, float], Finding]


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
    """Judge one criterion on its measurements alone. A name measured twice must hold twice."""
    by_name: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        by_name.setdefault(measurement.name, []).append(measurement)
    findings = tuple(
        finding
        for check in criterion.checks
        for finding in _find(check, by_name.get(check.measurement, []), criterion, rehearsal=rehearsal)
    )
    decisive = _decisive(criterion.checks, findings)
    return CriterionVerdict(
        id=criterion.id,
        claim=criterion.claim,
        state=decisive.state,
        why=decisive.why,
        measured=decisive.measured,
        bound=decisive.bound,
        threshold=decisive.threshold,
        unit=decisive.unit,
        n=decisive.n,
        needs_s=decisive.needs_s,
        checks=findings,
    )


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
            verdict, "not looked at: its test did not run (deselected, missing, or the gate ended before)"
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

    A generator check that does not hold comes first, then the worst. When all hold, or nothing was seen, it is
    the criterion's own first check: criteria.toml puts the one that the claim is about there.
    """
    generator = {check.measurement for check in checks if check.generator}
    own = [finding for finding in findings if finding.measurement not in generator]
    if all(finding.n == 0 for finding in findings):
        return own[0]
    for finding in findings:
        if finding.measurement in generator and finding.state is not State.PASS:
            return finding
    worst = min(findings, key=lambda finding: _WORST_FIRST.index(finding.state))
    return own[0] if worst.state is State.PASS else worst


def _find(
    check: Check, measurements: Sequence[Measurement], criterion: Criterion, *, rehearsal: bool
) -> Iterable[Finding]:
    if not measurements:
        yield _finding(check, State.INCONCLUSIVE, f"{check.measurement} was not measured")
    for measurement in measurements:
        yield _judge_one(check, measurement, criterion, rehearsal=rehearsal)


def _judge_one(check: Check, measurement: Measurement, criterion: Criterion, *, rehearsal: bool) -> Finding:
    if measurement.n <= 0:
        reason = measurement.notes[0] if measurement.notes else f"{check.measurement} has no samples"
        return _finding(check, State.INCONCLUSIVE, reason)
    if isinstance(measurement.value, float) and not math.isfinite(measurement.value):
        return _finding(
            check, State.INCONCLUSIVE, f"{check.measurement} is {measurement.value}, not a number", measurement.n
        )
    try:
        finding = _RULES[check.rule](check, measurement, statistics.alpha(rehearsal=rehearsal))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        return _finding(check, State.INCONCLUSIVE, f"{check.measurement} cannot be read: {error!r}", measurement.n)
    if check.generator and finding.state is State.FAIL:
        return replace(
            finding, state=State.INCONCLUSIVE, why=f"the load generator is not to be believed: {finding.why}"
        )
    if finding.state is State.PASS and measurement.n < check.min_n:
        return replace(finding, state=State.INCONCLUSIVE, why=f"{measurement.n} of at least {check.min_n} samples seen")
    if finding.state is State.PASS and measurement.window_s < criterion.window_s:
        missing_s = criterion.window_s - measurement.window_s
        return replace(
            finding,
            state=State.INCONCLUSIVE,
            why=f"looked for {measurement.window_s:.0f} s of {criterion.window_s:.0f} s",
            needs_s=missing_s,
        )
    return finding


def _finding(
    check: Check,
    state: State,
    why: str,
    n: int = 0,
    *,
    measured: float | str | bool | None = None,
    bound: float | None = None,
    needs_s: float | None = None,
) -> Finding:
    return Finding(check.measurement, state, why, measured, bound, check.threshold, check.unit, n, needs_s)


def _exact(check: Check, measurement: Measurement, *, holds: bool, why: str) -> Finding:
    example = f"; {measurement.notes[0]}" if measurement.notes and not holds else ""
    state = State.PASS if holds else State.FAIL
    return _finding(check, state, why + example, measurement.n, measured=measurement.value)


def _all_good(check: Check, measurement: Measurement, _alpha: float) -> Finding:
    good, n = int(measurement.value), measurement.n
    finding = _exact(check, measurement, holds=good == n, why=f"{good} of {n} as they should be ({measurement.how})")
    return replace(finding, measured=good / n)


def _at_least(check: Check, measurement: Measurement, _alpha: float) -> Finding:
    holds = float(measurement.value) >= float(check.threshold)
    return _exact(check, measurement, holds=holds, why=_compared(check, measurement, "at least"))


def _at_most(check: Check, measurement: Measurement, _alpha: float) -> Finding:
    holds = float(measurement.value) <= float(check.threshold)
    return _exact(check, measurement, holds=holds, why=_compared(check, measurement, "at most"))


def _compared(check: Check, measurement: Measurement, relation: str) -> str:
    unit = "" if check.unit in ("count", "ratio") else f" {check.unit}"
    return f"{check.measurement} is {measurement.value:.6g}{unit}, promised is {relation} {check.threshold:.6g}{unit}"


def _equals(check: Check, measurement: Measurement, _alpha: float) -> Finding:
    holds = type(measurement.value) is type(check.threshold) and measurement.value == check.threshold
    why = f"{check.measurement} is {str(measurement.value).lower()}, promised is {str(check.threshold).lower()}"
    return _exact(check, measurement, holds=holds, why=why)


def _proportion(check: Check, measurement: Measurement, alpha: float) -> Finding:
    """`value`: {"failures": int, "blocks": [[requests, failures] per 10 s]}; n = requests."""
    failures, blocks, threshold = (
        int(measurement.value["failures"]),
        measurement.value["blocks"],
        float(check.threshold),
    )
    effect = statistics.design_effect(blocks)
    lower, upper = statistics.clopper_pearson(failures / effect, measurement.n / effect, alpha)
    seen = f"{failures} of {measurement.n} requests failed" + (f" (design effect {effect:.1f})" if effect > 1 else "")
    measured = 1 - failures / measurement.n
    if lower >= threshold:
        return _finding(
            check, State.PASS, f"{seen}; at least {lower:.5%} succeed", measurement.n, measured=measured, bound=lower
        )
    if upper < threshold:
        why = f"{seen}; at most {upper:.5%} succeed{_example(measurement)}"
        return _finding(check, State.FAIL, why, measurement.n, measured=measured, bound=upper)
    return _finding(
        check,
        State.INCONCLUSIVE,
        f"{seen}; between {lower:.5%} and {upper:.5%} succeed: {threshold:.2%} is undecided{_example(measurement)}",
        measurement.n,
        measured=measured,
        bound=lower,
        needs_s=statistics.seconds_needed_for_proportion(
            failures / effect, measurement.n / effect, measurement.window_s, threshold, alpha
        ),
    )


def _percentile(check: Check, measurement: Measurement, alpha: float) -> Finding:
    """`value`: base64 of a V2-compressed HdrHistogram in microseconds; threshold in ms."""
    if check.percentile is None:
        raise ValueError("the criterion names no percentile")
    histogram, threshold = statistics.decode(measurement.value), float(check.threshold)
    lower, upper = statistics.percentile_bounds(histogram, check.percentile, alpha)
    measured = histogram.get_value_at_percentile(check.percentile) / 1000
    name = f"p{check.percentile:g}"
    if upper is not None and upper < threshold:
        why = f"{name} is {measured:.1f} ms, surely below {upper:.1f} ms"
        return _finding(check, State.PASS, why, measurement.n, measured=measured, bound=upper)
    if lower is not None and lower >= threshold:
        why = f"{name} is {measured:.1f} ms, surely above {lower:.1f} ms{_example(measurement)}"
        return _finding(check, State.FAIL, why, measurement.n, measured=measured, bound=lower)
    return _finding(
        check,
        State.INCONCLUSIVE,
        f"{name} is {measured:.1f} ms, but {measurement.n} samples do not decide {threshold:g} ms",
        measurement.n,
        measured=measured,
        bound=upper,
        needs_s=measurement.window_s,
    )


def _trend(check: Check, measurement: Measurement, alpha: float) -> Finding:
    """`value`: [[seconds, MB], ...]; the projection over 7 days must stay at or below the threshold."""
    threshold = float(check.threshold)
    trend = statistics.project(measurement.value, alpha)
    last = float(measurement.value[-1][1])
    if trend is None:
        why = "peak only: a trend needs 20 minutes of looking after 5 minutes of warm-up"
        return _finding(check, State.PASS, why, measurement.n, measured=last)
    why = f"in 7 days between {trend.lower:.0f} and {trend.upper:.0f} {check.unit}"
    state = State.PASS if trend.upper <= threshold else State.FAIL if trend.lower > threshold else State.INCONCLUSIVE
    return _finding(check, state, why, measurement.n, measured=last, bound=trend.upper)


def _example(measurement: Measurement) -> str:
    return f"; e.g. {measurement.notes[0]}" if measurement.notes else ""


_RULES: dict[str, Rule] = {
    "all_good": _all_good,
    "at_least": _at_least,
    "at_most": _at_most,
    "equals": _equals,
    "proportion": _proportion,
    "percentile": _percentile,
    "trend": _trend,
}
