"""Format values for people: the same in the terminal, in verdict.md and in the report."""

import math
from collections.abc import Iterable, Sequence

from gaia_checks.model import NOT_CHECKED, CriterionVerdict, Finding, Measurement, State
from gaia_checks.report import release_comparison

MARKS = {State.PASS: "✓", State.FAIL: "✗", State.INCONCLUSIVE: "?", State.NOT_APPLICABLE: "–"}
"""One sign per state, beside the word: not everybody can distinguish colours."""


def amount(value: float | str | bool | None, unit: str) -> str:
    """Write a value with its unit: `99.983 %`, `12.4 ms`, `yes`, `–` for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if unit == "ratio":
        return f"{number(100 * value, 5)} %"
    return number(value, 4) if unit in ("count", "bool", "text") else f"{number(value, 4)} {unit}"


def columns(verdict: CriterionVerdict | Finding) -> tuple[str, str, str, str]:
    """Return measured, bound, threshold (with its direction: `≤ 100 ms`) and n of a verdict or a finding."""
    return (
        amount(verdict.measured, verdict.unit),
        amount(verdict.bound, verdict.unit),
        f"{verdict.relation} {amount(verdict.threshold, verdict.unit)}".lstrip(),
        f"{verdict.n:,}" if verdict.n else "–",
    )


def passed(criteria: Sequence[CriterionVerdict], of: str = "") -> str:
    """Count what passed of all that applies: `20 of 20 criteria passed`, `19 of 19 applicable criteria passed`.

    `of` follows the word criteria.
    """
    states = [criterion.state for criterion in criteria]
    apply = len(states) - states.count(State.NOT_APPLICABLE)
    which = "criteria" if apply == len(states) else "applicable criteria"
    return f"{states.count(State.PASS)} of {apply} {which}{of} passed"


def duration(seconds: float) -> str:
    """Write a duration: `42 s`, `3 min 05 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def forecast(needs_s: float | None) -> str:
    """Return what more time would do for an undecided criterion, in brackets; empty where time is not the question."""
    if not needs_s:
        return ""
    if needs_s > LONGEST_FORECAST_S:
        return " (too close to the threshold for any longer window)"
    return f" (about {duration(needs_s)} more would decide)"


def remarks(measurements: Iterable[Measurement]) -> tuple[str, ...]:
    """Return the CPU shares of each load, the comparison with the previous release, the call, and what is unchecked."""
    measurements = list(measurements)
    newest = {each.name: each for each in measurements if each.n and each.value is not None}
    lines = []
    for name in newest:
        look, _, what = name.rpartition(".")
        if what == _GATE:
            taken = [
                f"{who} {100 * float(newest[f'{look}.{of}'].value):.0f} %{' of a core' if of == _GATE else ''}"
                for of, who in _TAKERS.items()
                if f"{look}.{of}" in newest
            ]
            lines.append(f"CPU during {look}: {', '.join(taken)}")
    lines += release_comparison.lines(newest)
    if CALLED in newest and newest[CALLED].value:
        lines.append(f"called with: {newest[CALLED].value}")
    lines += [f"{each.how}: {note}" for each in measurements for note in each.notes if note.startswith(NOT_CHECKED)]
    return tuple(lines)


LONGEST_FORECAST_S = 2 * 3600.0
"""Nobody extends a window beyond this; and a forecast from so little evidence would be wrong."""

_MOST_DECIMALS = 9

CALLED = "gate.called"
"""The measurement of what options, variables and plugins this gate had beside those of every gate."""

_GATE = "cpu_of_gate"
_TAKERS = {
    _GATE: "the gate itself took",
    "cpu_of_generator": "the load generator",
    "cpu_of_server": "the server",
    "cpu_of_others_mean": "others",
}


def number(value: float, digits: int) -> str:
    """Write a number to this many significant digits, without an exponent and without needless zeros."""
    if value == int(value):
        return f"{int(value):,}"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    text = f"{value:,.{max(0, min(decimals, _MOST_DECIMALS))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
