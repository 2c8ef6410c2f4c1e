"""The analytics summary."""

from typing import Any

import pytest

from gaia_server.analytics import summary


def rows(*decided: tuple[int, int]) -> dict[str, list[dict[str, Any]]]:
    """Rows of decisions: (admitted, denied) per period."""
    decisions = [{"start": None, "admitted": admitted, "denied": denied} for admitted, denied in decided]
    by_rule = [{"rule_id": 1, "hits": 3}, {"rule_id": 2, "hits": 1}]
    return {"decisions": decisions, "by_rule": by_rule, "oldest": [{"minute": None}]}


@pytest.mark.parametrize(
    ("found", "admitted", "denied", "ratio"),
    [(rows(), 0, 0, None), (rows((3, 1), (0, 4)), 3, 5, 0.625), (rows((2, 0)), 2, 0, 0.0)],
)
def test_totals(found: dict[str, Any], admitted: int, denied: int, ratio: float | None) -> None:
    """Totals are sums of rows; without decisions the ratio is None."""
    totals = summary(found, 60, "minute")["totals"]
    assert totals == {"admitted": admitted, "denied": denied, "denied_ratio": ratio}


def test_each_part_has_its_ratio() -> None:
    """A period has its denied ratio, a rule its share of all refusals."""
    found = summary(rows((3, 1), (0, 4)), 120, "hour")
    assert [row["denied_ratio"] for row in found["decisions"]] == [0.25, 1.0]
    assert [row["share"] for row in found["by_rule"]] == [0.75, 0.25]
    assert (found["minutes"], found["per"]) == (120, "hour")
