"""How far each criterion is from its limit: the order of the report's table. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TypeGuard

from gaia_checks.model import Criterion, CriterionVerdict, Finding, State

_ORDER = (State.FAIL, State.INCONCLUSIVE, State.PASS, State.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class Margin:
    """One criterion and the check of the server that is closest to its limit."""

    criterion: CriterionVerdict
    finding: Finding | CriterionVerdict  # the criterion itself where no check of it decided
    margin: float | None  # share of the allowance that is left; None where exactly one value passes


def table(verdicts: Iterable[CriterionVerdict], criteria: Iterable[Criterion]) -> list[Margin]:
    """Return what did not pass, then what passed, closest to its limit first, then what allows exactly one value."""
    generator = of_generator(criteria)
    return sorted((_row(verdict, generator) for verdict in verdicts), key=_place)


def of_generator(criteria: Iterable[Criterion]) -> frozenset[str]:
    """Return the measurements that are about the load generator, not about the server."""
    return frozenset(check.measurement for each in criteria for check in each.checks if check.generator)


def worst(checks: Iterable[Finding]) -> Finding | None:
    """Return the check that did not pass, or is closest to its limit."""
    return min(checks, key=lambda each: (_ORDER.index(each.state), _or_most(margin(each))), default=None)


def margin(finding: Finding | CriterionVerdict) -> float | None:
    """Return the share of the allowance that is left: 0.85 of a latency of 15 ms where 100 ms are allowed.

    Of a success rate the allowance is the failures: at 99.96 % where 99.95 % are required, a fifth is left.
    """
    value = finding.measured if finding.bound is None else finding.bound
    limit = finding.threshold
    if not finding.relation or not (_is_number(value) and _is_number(limit)):
        return None
    rises = finding.relation == "≥"
    allowance = 1 - limit if rises and finding.unit == "ratio" else limit
    left = (value - limit) * (1 if rises else -1)
    return left / allowance if allowance > 0 else None


def _row(verdict: CriterionVerdict, generator: Collection[str]) -> Margin:
    """Return the criterion's closest check; where it did not pass, the check that decided."""
    of_server = [each for each in verdict.checks if each.measurement not in generator]
    found: Finding | CriterionVerdict
    if verdict.state is State.PASS and of_server:
        found = min(of_server, key=lambda each: _or_most(margin(each)))
    else:
        found = next((each for each in verdict.checks if _decided(each, verdict)), verdict)
    return Margin(verdict, found, margin(found))


def _decided(finding: Finding, verdict: CriterionVerdict) -> bool:
    return finding.state is verdict.state and (finding.measured, finding.unit) == (verdict.measured, verdict.unit)


def _place(row: Margin) -> tuple[int, float]:
    return _ORDER.index(row.criterion.state), _or_most(row.margin)


def _or_most(share: float | None) -> float:
    return float("inf") if share is None else share


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
