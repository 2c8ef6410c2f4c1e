"""What the controller makes of how a test ended."""

import pytest

from gaia_checks.gate.pytest_hooks.controller import outcome_of


@pytest.mark.parametrize(
    ("text", "state", "outcome"),
    [
        ("", "pass", "passed"),
        ("AssertionError: 3 of 4\nas they should be", "fail", "failed: AssertionError: 3 of 4 as they should be"),
        ("Inconclusive: POST answered <html>\n<h1>Busy</h1>", "", "inconclusive: POST answered <html> <h1>Busy</h1>"),
        ("Traceback\nEvidenceError: torn", "", "broke in call: EvidenceError: torn"),
        ("AssertionError: by hand", "", "broke in call: AssertionError: by hand"),
    ],
)
def test_only_what_the_judge_has_failed_is_a_failure(text: str, state: str, outcome: str) -> None:
    """It ends the gate; a look that broke, or whose reason has several lines, does not."""
    report = pytest.TestReport(
        "test", ("test.py", 0, "test"), {}, "failed" if text else "passed", text or None, "call",
        user_properties=[("state", state)] if state else [],
    )  # fmt: skip
    assert outcome_of(report) == outcome
