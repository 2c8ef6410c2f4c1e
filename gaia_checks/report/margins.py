"""How far each criterion is from its limit: the order of the report's table. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from gaia_checks.model import Check, Criterion, CriterionVerdict, Finding, State
from gaia_checks.report import words

_AT_LEAST = frozenset({"at_least", "proportion"})
_EXACT = frozenset({"all_good", "equals"})
_ORDER = (State.FAIL, State.INCONCLUSIVE, State.PASS, State.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class Row:
    """One criterion and the check of the server that is closest to its limit."""

    criterion: CriterionVerdict
    finding: Finding | CriterionVerdict  # the criterion itself where no check of it was made
    threshold: str  # with its direction: "at most 100 ms"
    margin: float | None  # share of the allowance that is left; None where exactly one value passes


def table(verdicts: Iterable[CriterionVerdict], criteria: Iterable[Criterion]) -> list[Row]:
    """Return what did not pass, then what passed, closest to its limit first, then what allows exactly one value."""
    checks = {criterion.id: {check.measurement: check for check in criterion.checks} for criterion in criteria}
    return sorted((_row(verdict, checks.get(verdict.id, {})) for verdict in verdicts), key=_place)


def margin(check: Check | None, finding: Finding | CriterionVerdict) -> float | None:
    """Return the share of the allowance that is left: 0.85 of a latency of 15 ms where 100 ms are allowed.

    Of a success rate the allowance is the failures: at 99.96 % where 99.95 % are required, a fifth is left.
    """
    value = finding.measured if finding.bound is None else finding.bound
    limit = finding.threshold
    if check is None or check.rule in _EXACT or not (_is_number(value) and _is_number(limit)):
        return None
    rises = check.rule in _AT_LEAST
    allowance = 1 - limit if rises and finding.unit == "ratio" else limit
    left = (value - limit) * (1 if rises else -1)
    return left / allowance if allowance > 0 else None


def threshold(check: Check | None, finding: Finding | CriterionVerdict) -> str:
    """Return the threshold with its direction: `at most 100 ms`, `at least 99.95 %`, `all`, `yes`."""
    limit = words.amount(finding.threshold, finding.unit)
    if check is None or check.rule == "equals" or not _is_number(finding.threshold):
        return limit
    if check.rule == "all_good":
        return "all"
    if check.rule not in _AT_LEAST and not finding.threshold:
        return "none"
    return f"at {'least' if check.rule in _AT_LEAST else 'most'} {limit}"


def _row(verdict: CriterionVerdict, checks: Mapping[str, Check]) -> Row:
    """Return the criterion's closest check; where it did not pass, the numbers of the check that decided."""
    of_server = [
        each for each in verdict.checks if each.measurement in checks and not checks[each.measurement].generator
    ]
    found: Finding | CriterionVerdict
    if verdict.state is State.PASS and of_server:
        found = min(of_server, key=lambda each: _or_most(margin(checks[each.measurement], each)))
    else:
        found = next((each for each in verdict.checks if _decided(each, verdict)), verdict)
    check = checks.get(found.measurement) if isinstance(found, Finding) else _first(checks)
    return Row(verdict, found, threshold(check, found), margin(check, found))


def _decided(finding: Finding, verdict: CriterionVerdict) -> bool:
    return finding.state is verdict.state and (finding.measured, finding.unit) == (verdict.measured, verdict.unit)


def _first(checks: Mapping[str, Check]) -> Check | None:
    return next((check for check in checks.values() if not check.generator), None)


def _place(row: Row) -> tuple[int, float]:
    return _ORDER.index(row.criterion.state), _or_most(row.margin)


def _or_most(share: float | None) -> float:
    return float("inf") if share is None else share


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
