"""How far a criterion is from its limit."""

import pytest

from gaia_checks.model import Check, Criterion, CriterionVerdict, Finding, State
from gaia_checks.report import margins


def finding(
    name: str, measured: float, threshold: float, unit: str, *, bound: float | None = None, state: State = State.PASS
) -> Finding:
    """The outcome of one check."""
    return Finding(name, state, "why", measured, bound, threshold, unit, 30, None)


def verdict(identity: str, state: State, *findings: Finding) -> CriterionVerdict:
    """A criterion that its first finding decided."""
    first = findings[0]
    return CriterionVerdict(
        identity, identity, state, "why", first.measured, first.bound, first.threshold, first.unit, 30, None, findings
    )


def criterion(identity: str, *checks: Check) -> Criterion:
    """A criterion with these checks."""
    return Criterion(identity, identity, "load", 0, 0, (0,), checks)


@pytest.mark.parametrize(
    ("rule", "measured", "bound", "threshold", "unit", "left", "written"),
    [
        ("percentile", 13.0, 15.0, 100, "ms", 0.85, "at most 100 ms"),
        ("at_most", 110, None, 100, "ms", -0.1, "at most 100 ms"),
        ("proportion", 1.0, 0.9996, 0.9995, "ratio", 0.2, "at least 99.95 %"),
        ("at_least", 21, None, 14, "days", 0.5, "at least 14 days"),
        ("all_good", 1.0, None, 1, "ratio", None, "all"),
        ("at_most", 0, None, 0, "count", None, "none"),
        ("false_allows", 0, None, 0, "count", None, "none"),
        ("equals", True, None, True, "bool", None, "yes"),
    ],
)
def test_a_margin_is_the_share_of_the_allowance_that_is_left(
    rule: str, measured: float, bound: float | None, threshold: float, unit: str, left: float | None, written: str
) -> None:
    """By the bound where there is one; and the threshold says in which direction it holds."""
    check, found = Check("load.x", rule, threshold, unit), finding("load.x", measured, threshold, unit, bound=bound)
    assert margins.margin(check, found) == (None if left is None else pytest.approx(left))
    assert margins.threshold(check, found) == written


def test_the_closest_to_the_limit_comes_first() -> None:
    """What did not pass stands above it; a late generator is no margin of the server's."""
    late = Check("load.late", "at_most", 10, "ms", generator=True)
    slow, gap = Check("load.slow", "at_most", 100, "ms"), Check("load.gap", "at_most", 6, "s")
    whole = Check("load.whole", "all_good", 1, "ratio")
    rows = margins.table(
        [
            verdict("dev.whole", State.PASS, finding("load.whole", 1, 1, "ratio")),
            verdict("dev.far", State.PASS, finding("load.slow", 10, 100, "ms"), finding("load.late", 9.9, 10, "ms")),
            verdict("dev.near", State.PASS, finding("load.slow", 10, 100, "ms"), finding("load.gap", 5.1, 6, "s")),
            verdict("dev.open", State.INCONCLUSIVE, finding("load.slow", 99, 100, "ms", state=State.INCONCLUSIVE)),
            verdict("dev.bad", State.FAIL, finding("load.slow", 130, 100, "ms", state=State.FAIL)),
        ],
        [
            criterion("dev.whole", whole),
            *(criterion(name, late, slow, gap) for name in ("dev.far", "dev.near", "dev.open", "dev.bad")),
        ],
    )
    assert [row.criterion.id for row in rows] == ["dev.bad", "dev.open", "dev.near", "dev.far", "dev.whole"]
    assert [row.margin for row in rows] == [*map(pytest.approx, (-0.3, 0.01, 0.15, 0.9)), None]
    assert isinstance(rows[2].finding, Finding)
    assert rows[2].finding.measurement == "load.gap"
    assert rows[2].threshold == "at most 6 s"
