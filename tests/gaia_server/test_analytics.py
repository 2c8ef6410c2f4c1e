"""The summary's numbers."""

from typing import Any

import pytest

from gaia_server.analytics import summary


def rows(*decided: tuple[int, int]) -> dict[str, list[dict[str, Any]]]:
    """Rows of decisions: (admitted, denied) per minute."""
    return {"decisions": [{"minute": None, "admitted": admitted, "denied": denied} for admitted, denied in decided]}


@pytest.mark.parametrize(
    ("found", "admitted", "denied", "ratio"),
    [(rows(), 0, 0, None), (rows((3, 1), (0, 4)), 3, 5, 0.375), (rows((0, 2)), 0, 2, 0.0)],
)
def test_totals(found: dict[str, Any], admitted: int, denied: int, ratio: float | None) -> None:
    """Totals are sums of rows; without a decision there is no ratio."""
    totals = summary(found, 60)["totals"]
    assert totals == {"admitted": admitted, "denied": denied, "admitted_ratio": ratio}
