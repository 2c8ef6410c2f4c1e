"""Faults of the criteria that stage qa adds to dev; those of the load are in test_load."""

from collections.abc import Callable

import pytest

from tests.faults.driver import cases, expect_red, gate
from tests.faults.place import Place
from tests.faults.table import Fault

CRITERIA = (
    "qa.access",
    "qa.dashboard",
    "qa.figures",
    "qa.fresh_install",
    "qa.identity",
    "qa.instances",
    "qa.outage",
    "qa.quotas",
    "qa.rate_limiting",
    "qa.shutdown",
    "qa.websocket_soak",
)


@pytest.mark.parametrize(("criterion", "fault"), cases(*CRITERIA))
def test_a_fault_turns_its_criterion_red(deployed: Callable[..., Place], criterion: str, fault: Fault) -> None:
    """Only this criterion fails, for the seeded reason."""
    expect_red(gate(deployed(*fault.changes), criterion, fault), criterion, fault)
