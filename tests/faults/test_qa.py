"""What the stage qa promises beyond dev, broken; its load is in test_load."""

from collections.abc import Callable

import pytest

from tests.faults.driver import cases, expect_red, gate
from tests.faults.place import Place
from tests.faults.table import Fault

CRITERIA = ("qa.dashboard", "qa.quotas", "qa.rate_limiting", "qa.websocket_soak")


@pytest.mark.parametrize(("criterion", "fault"), cases(*CRITERIA))
def test_a_fault_turns_its_criterion_red(deployed: Callable[..., Place], criterion: str, fault: Fault) -> None:
    """It alone fails, for the reason that is the fault."""
    expect_red(gate(deployed(*fault.changes), criterion, fault), criterion, fault)
