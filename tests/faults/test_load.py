"""Faults of the criteria under load. CPU contention would make them inconclusive."""

from collections.abc import Callable

import pytest

from tests.faults.driver import cases, expect_red, gate
from tests.faults.place import Place
from tests.faults.table import Fault

CRITERIA = ("qa.load", "prod.latency", "prod.protection", "prod.success_rate")

AT_ONCE = (
    "-k",
    (
        "not (dashboard or quotas or rollback or no_worse or shutdown or outage or growth or administrators or figures "
        "or counted_as_themselves)"
    ),
)
"""A load waits for browsers and rehearsal copies to finish: without them it starts at once."""

pytestmark = pytest.mark.alone


@pytest.mark.parametrize(("criterion", "fault"), cases(*CRITERIA))
def test_a_fault_turns_its_criterion_red(deployed: Callable[..., Place], criterion: str, fault: Fault) -> None:
    """Only this criterion fails, for the seeded reason."""
    expect_red(gate(deployed(*fault.changes), criterion, fault, *AT_ONCE), criterion, fault)
