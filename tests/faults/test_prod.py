"""Faults of the criteria that stage prod adds to qa; those of the load are in test_load."""

from collections.abc import Callable

import pytest

from tests.faults.driver import cases, expect_red, gate
from tests.faults.place import Place
from tests.faults.table import Fault

CRITERIA = (
    *("prod.certificate", "prod.connections", "prod.memory", "prod.monitoring", "prod.no_regression"),
    *("prod.resources", "prod.rollback"),
)


@pytest.mark.parametrize(("criterion", "fault"), cases(*CRITERIA))
def test_a_fault_turns_its_criterion_red(deployed: Callable[..., Place], criterion: str, fault: Fault) -> None:
    """Only this criterion fails, for the seeded reason."""
    expect_red(gate(deployed(*fault.changes), criterion, fault), criterion, fault)
