"""The outcome that the controller records for a test."""

import pytest

from gaia_checks.gate.pytest_hooks.controller import outcome_of


@pytest.mark.parametrize(
    ("text", "state", "outcome"),
    [
        ("", "pass", "passed"),
        ("AssertionError: 3 of 4\ncorrect", "fail", "failed: AssertionError: 3 of 4 correct"),
        ("Inconclusive: POST answered <html>\n<h1>Busy</h1>", "", "inconclusive: POST answered <html> <h1>Busy</h1>"),
        ("Traceback\nEvidenceError: torn", "", "broke in call: EvidenceError: torn"),
        ("AssertionError: by hand", "", "broke in call: AssertionError: by hand"),
    ],
)
def test_only_a_failure_by_the_judge_is_a_failure(text: str, state: str, outcome: str) -> None:
    """It stops the gate; a crashed test or an inconclusive one does not."""
    report = pytest.TestReport(
        "test", ("test.py", 0, "test"), {}, "failed" if text else "passed", text or None, "call",
        user_properties=[("state", state)] if state else [],
    )  # fmt: skip
    assert outcome_of(report) == outcome
