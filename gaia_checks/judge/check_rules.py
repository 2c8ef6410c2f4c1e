"""The rules of criteria.toml: each turns one measurement into a finding. Pure.

A rule ignores the window and the source of the measurement; `judge.judgement` takes both into account.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gaia_checks.judge import analyses, paired, statistics, trend
from gaia_checks.judge.limit_compliance import Compliance, compliance
from gaia_checks.judge.statistics import Latencies, Sample
from gaia_checks.model import Check, Finding, Measurement, State

STATISTICAL = ("proportion", "percentile")
"""Rules that a longer sample may decide."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """One analysis of a growing sample."""

    ends_s: tuple[float, ...]  # of all possible analyses, in seconds since the start
    number: int  # counted from 0
    rehearsal: bool  # promotes nothing, so it may assume independent failures until the sample contradicts that

    def burst(self, check: Check, measurement: Measurement) -> float:
        """Return how many requests are assumed to fail together."""
        if self.rehearsal or check.burst_s is None or measurement.window_s <= 0:
            return 1.0
        return max(1.0, check.burst_s * measurement.n / measurement.window_s)

    def alphas(self, n: float, required: float, burst: float) -> tuple[float, float]:
        """Return the alphas of passing and of failing on a sample of n requests."""

        def could_pass(look: int, alpha: float) -> bool:
            clean = Sample(n * self.ends_s[look] / self.ends_s[self.number], 0, 1, burst, ())
            return clean.lower(alpha) >= required

        return analyses.alphas(len(self.ends_s), self.number, could_pass)


_MOST_PAIRS = 100_000
"""Nobody compares releases by more pairs of requests, or of starts."""

Rule = Callable[[Check, Measurement, Analysis], Finding]


def found(
    check: Check,
    state: State,
    why: str,
    n: int = 0,
    *,
    measured: float | str | bool | None = None,
    bound: float | None = None,
    needs_s: float | None = None,
) -> Finding:
    """Return the finding of a check."""
    relation = RELATIONS.get(check.rule, "")
    return Finding(check.measurement, state, why, measured, bound, check.threshold, check.unit, n, needs_s, relation)


RELATIONS: dict[str, str] = {
    "at_least": "≥",
    "at_most": "≤",
    "proportion": "≥",
    "percentile": "<",
    "trend": "≤",
    "false_allows": "≤",
    "false_denies": "≤",
    "paired_ratio": "≤",
    "more_failures": "≤",
}
"""Rule -> how a good value relates to the threshold; a rule that is missing allows the threshold alone."""


def _exact(check: Check, measurement: Measurement, *, satisfied: bool, why: str) -> Finding:
    example = f"; {measurement.notes[0]}" if measurement.notes and not satisfied else ""
    state = State.PASS if satisfied else State.FAIL
    return found(check, state, why + example, measurement.n, measured=measurement.value)


def _all_good(check: Check, measurement: Measurement, _look: Analysis) -> Finding:
    good, n = int(measurement.value), measurement.n
    if good == n:
        return found(check, State.PASS, f"{good} of {n} correct ({measurement.how})", n, measured=1.0)
    worst = f"; worst: {measurement.notes[0]}" if measurement.notes else ""
    return found(check, State.FAIL, f"{n - good} of {n} wrong ({measurement.how}){worst}", n, measured=good / n)


def _at_least(check: Check, measurement: Measurement, _look: Analysis) -> Finding:
    satisfied = float(measurement.value) >= float(check.threshold)
    return _exact(check, measurement, satisfied=satisfied, why=_compared(check, measurement, "at least"))


def _at_most(check: Check, measurement: Measurement, _look: Analysis) -> Finding:
    satisfied = float(measurement.value) <= float(check.threshold)
    return _exact(check, measurement, satisfied=satisfied, why=_compared(check, measurement, "at most"))


def _compared(check: Check, measurement: Measurement, relation: str) -> str:
    unit = "" if check.unit in ("count", "ratio") else f" {check.unit}"
    return f"{check.measurement} is {measurement.value:.6g}{unit}; required: {relation} {check.threshold:.6g}{unit}"


def _equals(check: Check, measurement: Measurement, _look: Analysis) -> Finding:
    satisfied = type(measurement.value) is type(check.threshold) and measurement.value == check.threshold
    why = f"{check.measurement} is {str(measurement.value).lower()}; required: {str(check.threshold).lower()}"
    return _exact(check, measurement, satisfied=satisfied, why=why)


def _proportion(check: Check, measurement: Measurement, look: Analysis) -> Finding:
    """`value`: {"failures": int, "blocks": [[requests, failures] per 10 s]}; n = requests."""
    required, burst = check.share, look.burst(check, measurement)
    sample = Sample.of(measurement.value["blocks"], burst)
    alphas = look.alphas(sample.n, required, burst)
    lower, upper = sample.lower(alphas[0]), sample.upper(alphas[1])
    observed = f"{sample.failures:.0f} of {measurement.n} requests failed" + _effect(sample)
    measured = 1 - sample.failures / sample.n
    if lower >= required:
        why = f"{observed}; at least {lower:.5%} succeed{_together(burst)}"
        return found(check, State.PASS, why, measurement.n, measured=measured, bound=lower)
    if upper < required:
        why = f"{observed}; at most {upper:.5%} succeed{_example(measurement)}"
        return found(check, State.FAIL, why, measurement.n, measured=measured, bound=upper)
    between = f"between {lower:.5%} and {upper:.5%} succeed{_together(burst)}: {required:.2%} is undecided"
    return found(
        check,
        State.INCONCLUSIVE,
        f"{observed}; {between}{_example(measurement)}",
        measurement.n,
        measured=measured,
        bound=lower,
        needs_s=statistics.seconds_needed(sample, measurement.window_s, required, alphas),
    )


def _percentile(check: Check, measurement: Measurement, look: Analysis) -> Finding:
    """`value`: base64 of a V2-compressed HdrHistogram in microseconds, or one per 10 s; threshold in ms."""
    if check.percentile is None:
        raise ValueError("the check has no percentile; set it in criteria.toml")
    encoded = [measurement.value] if isinstance(measurement.value, str) else measurement.value
    latencies, limit_ms = Latencies(statistics.decode(text) for text in encoded), float(check.threshold)
    burst = look.burst(check, measurement)
    sample = latencies.below(limit_ms, burst)
    alphas = look.alphas(sample.n, check.share, burst)
    lower, upper = latencies.bounds_ms(check.percentile, alphas, burst)
    measured = latencies.percentile_ms(check.percentile)
    observed = f"p{check.percentile:g} is {measured:.1f} ms"
    if upper is not None and upper < limit_ms:
        why = f"{observed}, upper bound {upper:.1f} ms{_together(burst)}"
        return found(check, State.PASS, why, measurement.n, measured=measured, bound=upper)
    if lower is not None and lower >= limit_ms:
        why = f"{observed}, lower bound {lower:.1f} ms{_effect(sample)}{_example(measurement)}"
        return found(check, State.FAIL, why, measurement.n, measured=measured, bound=lower)
    return found(
        check,
        State.INCONCLUSIVE,
        f"{observed}, but {measurement.n} samples do not decide {limit_ms:g} ms{_together(burst)}{_effect(sample)}",
        measurement.n,
        measured=measured,
        bound=upper,
        needs_s=statistics.seconds_needed(sample, measurement.window_s, check.share, alphas),
    )


def _effect(sample: Sample) -> str:
    return f" (design effect {sample.effect:.1f})" if sample.effect > 1 else ""


def _together(burst: float) -> str:
    """Describe the bursts that the bound takes into account."""
    return f", even if requests fail {burst:.0f} at a time" if burst > 1 else ""


def _trend(check: Check, measurement: Measurement, look: Analysis) -> Finding:
    """`value`: [[seconds, MB], ...]; the projection over 7 days must stay at or below the threshold."""
    threshold = float(check.threshold)
    ahead = trend.project(measurement.value, analyses.alphas(len(look.ends_s), look.number, lambda *_: True)[1])
    last = float(measurement.value[-1][1])
    if ahead is None:
        why = "peak only: a trend requires 20 minutes of samples after 5 minutes of warm-up"
        state = State.PASS if look.rehearsal else State.INCONCLUSIVE
        return found(check, state, why, measurement.n, measured=last)
    why = f"in 7 days between {ahead.lower:.0f} and {ahead.upper:.0f} {check.unit}"
    state = State.PASS if ahead.upper <= threshold else State.FAIL if ahead.lower > threshold else State.INCONCLUSIVE
    why += "" if state is State.PASS else _example(measurement)
    return found(check, state, why, measurement.n, measured=last, bound=ahead.upper)


def _false_allows(check: Check, measurement: Measurement, _look: Analysis) -> Finding:
    """`value`: see `limit_compliance.compliance`; n = requests. `min_n` counts refusals that could show one."""
    limits = compliance(measurement.value)
    worst = max(limits, key=lambda one: one.false_allows)
    could = sum(one.could_allow for one in limits)
    return _wrong_decisions(check, "admissions beyond a limit", sum(one.false_allows for one in limits), worst, could)


def _false_denies(check: Check, measurement: Measurement, _look: Analysis) -> Finding:
    """`value`: see `limit_compliance.compliance`; n = requests. `min_n` counts admissions that could show one."""
    limits = compliance(measurement.value)
    worst = max(limits, key=lambda one: one.false_denies)
    could = sum(one.could_deny for one in limits)
    return _wrong_decisions(check, "refusals within a limit", sum(one.false_denies for one in limits), worst, could)


def _wrong_decisions(check: Check, what: str, wrong: int, worst: Compliance, could: int) -> Finding:
    """Fail on any certain fault; pass only with `min_n` responses that could have revealed one."""
    if wrong > float(check.threshold):
        why = f"at least {wrong} {what}, most of them by {worst}"
        return found(check, State.FAIL, why, could + wrong, measured=wrong)
    if could < check.min_n:
        why = f"only {could} responses were fast enough to reveal {what}; required: {check.min_n}"
        return found(check, State.INCONCLUSIVE, why, could, measured=wrong)
    return found(check, State.PASS, f"{wrong} {what}; {could} responses could have revealed one", could, measured=wrong)


def _paired_ratio(check: Check, measurement: Measurement, _look: Analysis) -> Finding:
    """`value`: [[previous, new], ...], a pair for each block; n = requests, or starts, of each release."""
    return _compared_releases(check, measurement, paired.ratio(measurement.value, statistics.ONLY_ALPHA))


def _more_failures(check: Check, measurement: Measurement, _look: Analysis) -> Finding:
    """`value`: {"previous": [[requests, failures] per block], "new": ...}; n = requests of each release."""
    return _compared_releases(check, measurement, paired.more_failures(measurement.value, statistics.ONLY_ALPHA))


def _compared_releases(check: Check, measurement: Measurement, found_: paired.Interval | None) -> Finding:
    limit, n = float(check.threshold), measurement.n
    if found_ is None:
        return found(check, State.INCONCLUSIVE, f"{n} pairs are too few for an interval; raise the look's numbers", n)
    between = f"{check.measurement}: {found_.estimate:.3g}, between {found_.lower:.3g} and {found_.upper:.3g}"
    observed = f"{between}; required: at most {limit:g}{_example(measurement)}"
    if found_.upper <= limit:
        return found(check, State.PASS, observed, n, measured=found_.estimate, bound=found_.upper)
    if found_.lower > limit:
        return found(check, State.FAIL, observed, n, measured=found_.estimate, bound=found_.lower)
    more = n * found_.times_more(limit)
    helps = f"about {more:,.0f} pairs instead of {n:,} would decide" if more < _MOST_PAIRS else "too close to the limit"
    return found(check, State.INCONCLUSIVE, f"{observed}; {helps}", n, measured=found_.estimate, bound=found_.upper)


def _example(measurement: Measurement) -> str:
    return f"; e.g. {measurement.notes[0]}" if measurement.notes else ""


RULES: dict[str, Rule] = {
    "all_good": _all_good,
    "at_least": _at_least,
    "at_most": _at_most,
    "equals": _equals,
    "proportion": _proportion,
    "percentile": _percentile,
    "trend": _trend,
    "false_allows": _false_allows,
    "false_denies": _false_denies,
    "paired_ratio": _paired_ratio,
    "more_failures": _more_failures,
}
"""Every rule by its name in criteria.toml."""
