"""How a value is written for people: the same in the terminal, in verdict.md and in the report."""

from gaia_checks.model import CriterionVerdict, Finding, State

MARKS = {State.PASS: "✓", State.FAIL: "✗", State.INCONCLUSIVE: "?"}
"""One sign per state, beside the word: colour alone does not reach everybody."""


def amount(value: float | str | bool | None, unit: str) -> str:
    """Write a value with its unit: `99.983 %`, `12.4 ms`, `yes`, `–` for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if unit == "ratio":
        return f"{_significant(100 * value, 5)} %"
    return _significant(value, 4) if unit in ("count", "bool", "text") else f"{_significant(value, 4)} {unit}"


def columns(verdict: CriterionVerdict | Finding) -> tuple[str, str, str, str]:
    """Return measured, bound, threshold and n of a verdict or a finding."""
    return (
        amount(verdict.measured, verdict.unit),
        amount(verdict.bound, verdict.unit),
        amount(verdict.threshold, verdict.unit),
        f"{verdict.n:,}" if verdict.n else "–",
    )


def duration(seconds: float) -> str:
    """Write a duration: `42 s`, `3 min 05 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _significant(value: float, digits: int) -> str:
    """Write a number without an exponent and without needless zeros."""
    if value == int(value):
        return f"{int(value):,}"
    decimals = max(0, digits - len(str(int(abs(value)))))
    return f"{value:,.{decimals}f}".rstrip("0").rstrip(".")
