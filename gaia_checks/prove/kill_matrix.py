"""The kill matrix: what became of each fault, and the figures over all. Pure."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gaia_checks.prove.fault_catalogue import CataloguedFault
from gaia_checks.prove.fault_verdict import CAUGHT, KINDS, ProofResult, beside

NOT_RUN = "not run"
QUICK_S = 30.0
HEAD = ("fault", "expected", "verdict", "seconds", "reason")


@dataclass(frozen=True, slots=True)
class MatrixFigures:
    """What the matrix says in total."""

    counts: Mapping[str, int]  # verdict -> faults
    median_s: float | None  # until the gate was red
    quick: float | None  # share of the caught ones that were red within QUICK_S


def rows(faults: Sequence[CataloguedFault], results: Mapping[str, ProofResult]) -> list[tuple[str, ...]]:
    """Return a row of text for each fault."""
    return [_row(fault, results.get(fault.name)) for fault in faults]


def _row(fault: CataloguedFault, result: ProofResult | None) -> tuple[str, ...]:
    if result is None:
        return fault.name, fault.criterion, NOT_RUN, "-", "-"
    seconds = "-" if result.seconds is None else f"{result.seconds:.0f}"
    others = beside(result, fault.also) if result.verdict == CAUGHT else []
    reason = f"{result.reason} (also failed: {', '.join(others)})" if others else result.reason
    return fault.name, fault.criterion, result.verdict, seconds, reason


def figures(faults: Sequence[CataloguedFault], results: Mapping[str, ProofResult]) -> MatrixFigures:
    """Return the figures over these faults."""
    found = [results.get(fault.name) for fault in faults]
    counted = Counter(NOT_RUN if result is None else result.verdict for result in found)
    red_s = [one.seconds for one in found if one and one.verdict == CAUGHT and one.seconds is not None]
    return MatrixFigures(
        {kind: counted[kind] for kind in (*KINDS, NOT_RUN) if counted[kind]},
        statistics.median(red_s) if red_s else None,
        sum(seconds < QUICK_S for seconds in red_s) / len(red_s) if red_s else None,
    )


def by_criterion(faults: Sequence[CataloguedFault], results: Mapping[str, ProofResult]) -> dict[str, MatrixFigures]:
    """Return the figures of each criterion's faults."""
    criteria = sorted({fault.criterion for fault in faults})
    return {name: figures([fault for fault in faults if fault.criterion == name], results) for name in criteria}


def text(found: MatrixFigures) -> str:
    """Return the figures as one line."""
    total = sum(found.counts.values())
    counts = ", ".join(f"{number} {kind}" for kind, number in found.counts.items())
    if found.median_s is None or found.quick is None:
        return f"{total} faults: {counts}"
    red = f"red after {found.median_s:.0f} s (median), {found.quick:.0%} within {QUICK_S:.0f} s"
    return f"{total} faults: {counts}; {red}"
