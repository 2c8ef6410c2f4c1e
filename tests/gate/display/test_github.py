"""A verdict in GitHub Actions."""

from dataclasses import replace
from pathlib import Path

from gaia_checks.gate.display import github
from gaia_checks.gate.display.next_steps import NextSteps
from gaia_checks.model import State, Verdict
from tests.gate.display.test_verdict_view import CRITERIA, criterion, verdict

ACTIONS = {"GITHUB_ACTIONS": "true"}


def annotations(judged: Verdict, variables: dict[str, str]) -> list[str]:
    """Return the annotations of a verdict."""
    return list(github.annotations(judged, NextSteps(judged, Path("reports/qa/run-1"), CRITERIA), variables))


def test_what_failed_is_an_error_and_what_is_open_a_warning() -> None:
    """Failures come first, criteria with one reason share an annotation, and a failure says what to do next."""
    open_ = criterion(State.INCONCLUSIVE, "cut short")
    judged = verdict(
        replace(open_, id="qa.load"),
        replace(open_, id="qa.quotas"),
        criterion(State.PASS, "fine"),
        criterion(State.NOT_APPLICABLE, "plain http"),
        criterion(State.FAIL, "33 of 1234 wrong: 97 %, of\nall"),
    )
    step = "open reports/qa/run-1/report.html: send the request above yourself"
    assert annotations(judged, ACTIONS) == [
        f"::error title=qa%3A dev.health::33 of 1234 wrong: 97 %25, of all%0A{step}",
        "::warning title=qa%3A qa.load%2C qa.quotas::cut short",
    ]


def test_the_answer_of_a_server_starts_no_command() -> None:
    """A line break in a reason does not reach the log."""
    [line] = annotations(verdict(criterion(State.FAIL, "body:\r\n::set-output name=x::y\u2028::error::z")), ACTIONS)
    assert len(line.splitlines()) == 1


def test_elsewhere_there_are_no_annotations() -> None:
    """A terminal shows the reasons already."""
    assert annotations(verdict(criterion(State.FAIL, "no")), {}) == []


def test_the_summary_of_the_job_is_the_verdict(tmp_path: Path) -> None:
    """It is appended: other steps write there too."""
    markdown, summary = tmp_path / "verdict.md", tmp_path / "summary.md"
    markdown.write_text("# ✗ FAIL: qa\n", encoding="utf-8")
    summary.write_text("before\n", encoding="utf-8")
    github.summarise(markdown, {"GITHUB_STEP_SUMMARY": str(summary)})
    github.summarise(markdown, {})
    assert summary.read_text("utf-8") == "before\n# ✗ FAIL: qa\n\n"
