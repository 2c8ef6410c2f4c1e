"""From the gates of a trial to one verdict about the fault."""

from pathlib import Path

import pytest

from gaia_checks.prove import fault_verdict
from gaia_checks.prove.fault_catalogue import CataloguedFault
from gaia_checks.prove.fault_verdict import GateOutcome

FAULT = CataloguedFault("qa.access/x", "qa.access", "it lies", "a sign", frozenset({"dev.health"}), Path("x.patch"))


def gate(seconds: float = 9.0, trouble: str = "", **states: str) -> GateOutcome:
    """Return an outcome; `qa_access` stands for qa.access."""
    return decided({name.replace("_", ".", 1): state for name, state in states.items()}, seconds, trouble)


def decided(states: dict[str, str], seconds: float = 9.0, trouble: str = "") -> GateOutcome:
    """Return an outcome with a reason for each state."""
    return GateOutcome(states, {name: f"why {name}" for name in states}, seconds, trouble)


@pytest.mark.parametrize(
    ("gates", "verdict", "reason"),
    [
        ([gate(qa_access="fail", dev_api="inconclusive")], "caught", "why qa.access"),
        ([gate(dev_api="fail", qa_access="inconclusive"), gate(qa_access="fail")], "caught", "why qa.access"),
        ([gate(dev_api="fail", qa_access="inconclusive"), gate(qa_access="pass")], "wrong criterion", "dev.api: why"),
        ([gate(dev_api="fail", qa_access="pass")], "wrong criterion", "dev.api: why dev.api"),
        ([gate(qa_access="pass"), gate(dev_websocket="fail")], "wrong criterion", "dev.websocket: why"),
        ([gate(qa_access="pass"), gate(dev_websocket="pass")], "missed", "qa.access passed, and 1 other criteria"),
        ([gate(qa_access="inconclusive")], "inconclusive", "why qa.access"),
        ([gate(trouble="no verdict")], "inconclusive", "no verdict"),
        ([gate(qa_access="pass"), gate(trouble="no verdict")], "inconclusive", "no verdict"),
    ],
)
def test_a_fault_is_caught_only_by_its_own_criterion(gates: list[GateOutcome], verdict: str, reason: str) -> None:
    """Another criterion's failure is no catch, and what was not decided is no miss."""
    found = fault_verdict.judge(FAULT, gates)
    assert (found.verdict, found.reason.startswith(reason)) == (verdict, True), found


@pytest.mark.parametrize(
    ("states", "wanted"),
    [
        ({"qa.access": "fail", "dev.api": "fail"}, None),
        ({"dev.api": "fail", "qa.access": "inconclusive"}, "own"),
        ({"dev.api": "fail", "qa.access": "pass"}, None),
        ({"qa.access": "pass"}, "others"),
        ({"qa.access": "inconclusive"}, None),
    ],
)
def test_another_gate_is_run_only_where_it_could_decide(states: dict[str, str], wanted: str | None) -> None:
    """A criterion that another one's failure stopped is judged alone; a passed one is looked for among the others."""
    assert fault_verdict.needs_another(FAULT, [decided(states)]) == wanted
    assert fault_verdict.needs_another(FAULT, [gate(), decided(states)]) is None


def test_the_seconds_are_those_of_the_red_gate() -> None:
    """The gate before it, which another criterion stopped, does not count."""
    found = fault_verdict.judge(FAULT, [gate(5, dev_api="fail", qa_access="inconclusive"), gate(7, qa_access="fail")])
    assert found.seconds == 7


def test_what_failed_beside_is_named_unless_expected() -> None:
    """`Also` in the header expects it."""
    found = fault_verdict.judge(FAULT, [gate(qa_access="fail", dev_api="fail", dev_health="fail")])
    assert fault_verdict.beside(found, FAULT.also) == ["dev.api"]


def test_a_result_is_read_back_as_it_was_recorded() -> None:
    """The file has more fields than the result."""
    found = fault_verdict.judge(FAULT, [gate(qa_access="fail")])
    assert fault_verdict.ProofResult.from_json({**found.to_json(), "at": "now"}) == found
