"""What the stage dev promises, broken."""

from collections.abc import Callable

import pytest

from tests.faults.driver import cases, expect_red, gate
from tests.faults.place import Place
from tests.faults.table import SHORT, Fault

CRITERIA = (
    "dev.api", "dev.database", "dev.health", "dev.log", "dev.migrations", "dev.process", "dev.websocket",
)  # fmt: skip


@pytest.mark.parametrize(("criterion", "fault"), cases(*CRITERIA))
def test_a_fault_turns_its_criterion_red(place_for: Callable[[Fault], Place], criterion: str, fault: Fault) -> None:
    """It alone fails, for the reason that is the fault."""
    expect_red(gate(place_for(fault), criterion, fault), criterion, fault)
