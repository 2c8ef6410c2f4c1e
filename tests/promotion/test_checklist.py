"""What the criteria of the stage before contribute to the checklist of an environment."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from gaia_checks.promotion.checklist import criteria_items

WHEN = datetime(2026, 2, 26, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ("pass", ("proven", "qa.instances, run 1")),
        ("not applicable", ("not applicable", "qa.instances, run 1")),
        ("inconclusive", ("missing", "qa.instances: inconclusive")),
        ("fail", ("missing", "qa.instances: fail")),
        (None, ("missing", "qa.instances: not gated")),
    ],
)
def test_a_criterion_is_proven_not_applicable_or_missing(state: str | None, shown: tuple[str, str]) -> None:
    """Several instances are nothing that every environment has: without them nothing is missing."""
    states = {} if state is None else {"qa.instances": state}
    statement = SimpleNamespace(predicate={"criteria": {"states": states}, "run": "1"}, at=WHEN)
    wanted: Any = SimpleNamespace(source=SimpleNamespace(criteria=None, stage="qa"))
    found: Any = SimpleNamespace(verdict=SimpleNamespace(statement=statement))
    (item,) = (each for each in criteria_items(wanted, found) if each.item == "All instances serve as one")
    assert (item.state, item.by) == shown
