"""Gates a place while a fault is in it."""

from tests.faults.place import Place
from tests.faults.table import FAULTS, Fault
from tests.ground import Outcome

CASES = [(criterion, fault.name) for criterion, faults in FAULTS.items() for fault in faults]


def gate(place: Place, criterion: str, fault: Fault, *options: str) -> Outcome:
    """Gate the stage that first promises the criterion while the fault is there."""
    with fault.breaks(place) as broken:
        return broken.gate(fault.looks, f"--stage={criterion.partition('.')[0]}", *options)


def expect_red(outcome: Outcome, criterion: str, fault: Fault) -> None:
    """See that exactly this criterion failed, and why."""
    failed = {name: why for name, why in outcome.not_passed().items() if outcome.states[name] == "fail"}
    assert set(failed) == {criterion}, outcome.output
    assert fault.seen in failed[criterion], failed[criterion]
    assert outcome.code == 1, outcome.output
