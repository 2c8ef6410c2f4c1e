"""Faults of the criteria of stage dev."""

from collections.abc import Callable

import pytest

from tests.faults.driver import cases, expect_red, gate
from tests.faults.place import Place
from tests.faults.table import SHORT, Fault

CRITERIA = (
    "dev.api", "dev.database", "dev.health", "dev.log", "dev.migrations", "dev.process", "dev.websocket",
)  # fmt: skip


@pytest.mark.parametrize(("criterion", "fault"), cases(*CRITERIA))
def test_a_fault_turns_its_criterion_red(deployed: Callable[..., Place], criterion: str, fault: Fault) -> None:
    """Only this criterion fails, for the seeded reason; all others pass when the gate checks them."""
    outcome = gate(deployed(*fault.changes), criterion, fault, "--complete")
    expect_red(outcome, criterion, fault)
    assert outcome.not_passed().keys() == {criterion}, outcome.output


def test_without_a_fault_everything_holds(deployed: Callable[..., Place]) -> None:
    """The layer around the server and earlier faults break nothing."""
    outcome = deployed().gate(SHORT, "--stage=dev")
    assert outcome.code == 0, outcome.output
