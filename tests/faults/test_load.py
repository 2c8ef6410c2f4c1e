"""What the stages promise of the server under load, broken. Busy strangers would excuse it."""

from collections.abc import Callable

import pytest

from tests.faults.driver import cases, expect_red, gate
from tests.faults.place import Place
from tests.faults.table import Fault

CRITERIA = ("qa.load", "prod.latency", "prod.protection", "prod.success_rate")

AT_ONCE = ("-k", "not dashboard and not quotas and not rollback")
"""A load waits until no browser and no rehearsal copy runs any more: without them it begins at once."""

pytestmark = pytest.mark.alone


@pytest.mark.parametrize(("criterion", "fault"), cases(*CRITERIA))
def test_a_fault_turns_its_criterion_red(deployed: Callable[..., Place], criterion: str, fault: Fault) -> None:
    """It alone fails, for the reason that is the fault."""
    expect_red(gate(deployed(*fault.changes), criterion, fault, *AT_ONCE), criterion, fault)
