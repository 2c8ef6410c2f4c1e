"""How far a criterion is from its limit."""

import pytest

from gaia_checks.model import Check, Criterion, CriterionVerdict, Finding, State
from gaia_checks.report import margins


def finding(
    name: str,
    measured: float,
    relation: str,
    threshold: float,
    unit: str,
    *,
    bound: float | None = None,
    state: State = State.PASS,
) -> Finding:
    """The outcome of one check."""
    return Finding(name, state, "why", measured, bound, threshold, unit, 30, None, relation)


def verdict(identity: str, *findings: Finding) -> CriterionVerdict:
    """A criterion that its first finding decided."""
    by = findings[0]
    return CriterionVerdict(
        identity, identity, by.state, "why", by.measured, by.bound, by.threshold, by.unit, 30, None, findings
    )


@pytest.mark.parametrize(
    ("relation", "measured", "bound", "threshold", "unit", "left"),
    [
        ("≤", 13.0, 15.0, 100, "ms", 0.85),
        ("≤", 110, None, 100, "ms", -0.1),
        ("≥", 1.0, 0.9996, 0.9995, "ratio", 0.2),
        ("≥", 21, None, 14, "days", 0.5),
        ("", 1.0, None, 1, "ratio", None),
        ("≤", 0, None, 0, "count", None),
        ("", True, None, True, "bool", None),
    ],
)
def test_a_margin_is_the_share_of_the_allowance_that_is_left(
    relation: str, measured: float, bound: float | None, threshold: float, unit: str, left: float | None
) -> None:
    """By the bound where there is one; where exactly one value passes there is none."""
    found = finding("load.x", measured, relation, threshold, unit, bound=bound)
    assert margins.margin(found) == (None if left is None else pytest.approx(left))


def test_the_closest_to_the_limit_comes_first() -> None:
    """What did not pass stands above it; a late generator is no margin of the server's."""
    late = Check("load.late", "at_most", 10, "ms", generator=True)
    slow = finding("load.slow", 10, "≤", 100, "ms")
    rows = margins.table(
        [
            verdict("dev.whole", finding("load.whole", 1, "", 1, "ratio")),
            verdict("dev.far", slow, finding("load.late", 9.9, "≤", 10, "ms")),
            verdict("dev.near", slow, finding("load.gap", 5.1, "≤", 6, "s")),
            verdict("dev.open", finding("load.slow", 99, "≤", 100, "ms", state=State.INCONCLUSIVE)),
            verdict("dev.bad", finding("load.slow", 130, "≤", 100, "ms", state=State.FAIL)),
        ],
        [Criterion("dev.far", "Far", "load", 0, 0, (0,), (late,))],
    )
    assert [row.criterion.id for row in rows] == ["dev.bad", "dev.open", "dev.near", "dev.far", "dev.whole"]
    assert [row.margin for row in rows] == [*map(pytest.approx, (-0.3, 0.01, 0.15, 0.9)), None]
    assert isinstance(rows[2].finding, Finding)
    assert rows[2].finding.measurement == "load.gap"
