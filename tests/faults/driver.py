"""Seeds a fault, gates, and checks that exactly its criterion fails."""

import re

import pytest

from gaia_checks import jsonl
from gaia_checks.judge import criteria_file
from tests.faults.place import Place
from tests.faults.table import FAULTS, Fault
from tests.support.ground import Outcome

AT_EVERYTHING = {
    "prod.no_regression": "no_worse",
    "qa.access": "administrators",
    "qa.figures": "figures",
    "qa.fresh_install": "fresh_installation",
    "qa.identity": "counted_as_themselves",
    "qa.outage": "outage",
    "qa.shutdown": "shutdown",
    "prod.resources": "growth",
}
"""Criteria whose looks use nearly every route, or take long -> a word of their tests' names."""


def cases(*criteria: str) -> list[object]:
    """Return the parameters of a test that is about these criteria: (criterion, fault); all but the first `further`."""
    return [
        pytest.param(criterion, fault, id=f"{criterion}: {fault.name}", marks=[pytest.mark.further] if number else [])
        for criterion in criteria
        for number, fault in enumerate(FAULTS[criterion])
    ]


def gate(place: Place, criterion: str, fault: Fault, *options: str) -> Outcome:
    """Gate the stage that first promises the criterion, while the fault is there."""
    with fault.breaks(place) as broken:
        return broken.gate(fault.looks, f"--stage={criterion.partition('.')[0]}", "-k", _apart(criterion), *options)


def _apart(criterion: str) -> str:
    """Return the -k expression without the looks at everything, which meet most faults too and would be red first.

    The comparison of two releases waits for the browser and the rehearsal copies: without them, it starts at once.
    """
    apart = [word for name, word in AT_EVERYTHING.items() if name != criterion]
    if criterion == "prod.no_regression":
        apart += ["dashboard", "quotas", "rollback"]
    return f"not ({' or '.join(apart)})"


def expect_red(outcome: Outcome, criterion: str, fault: Fault) -> None:
    """Check that verdict, exit code and terminal name only this criterion, with the reason."""
    failed = {name: why for name, why in outcome.not_passed().items() if outcome.states[name] == "fail"}
    assert set(failed) == {criterion}, outcome.output
    assert fault.reason in failed[criterion], failed[criterion]
    assert outcome.code == 1, outcome.output
    names = [each["name"] for each in jsonl.read(outcome.folder / "measurements.jsonl")]
    assert criteria_file.load().unexplained(names) == []
    assert re.findall(r"^✗ (\S+): ", outcome.output, re.MULTILINE) == [criterion] * 2, outcome.output  # first and last
