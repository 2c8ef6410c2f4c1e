"""The first page of the report."""

from dataclasses import replace
from html import escape

import pytest

from gaia_checks.model import CriterionVerdict, Finding, Release, State, Verdict
from gaia_checks.report import decision


def verdict(state: State = State.PASS, why: str = "p99 is 13 ms", stage: str = "qa") -> Verdict:
    """A gate of one criterion."""
    findings = (
        Finding("load.send_lateness_p99", State.PASS, "on time", 4.1, None, 10, "ms", 100, None, "≤"),
        Finding("load.latency", state, why, 13.0, 15.0, 100, "ms", 100, None, "≤"),
    )
    criterion = CriterionVerdict("prod.latency", "Fast", state, why, 13.0, 15.0, 100, "ms", 100, None, findings)
    release = Release("phase-1", "c" * 40, "a" * 64, {})
    return Verdict("qa", stage, "run", "2026-02-26T10:00:00.000Z", 60, state, False, release, (criterion,))


def page(found: Verdict) -> str:
    """The page of a gate without pictures."""
    return decision.document(found, [], "<svg/>", "", [])


def test_a_check_is_written_in_words() -> None:
    """What, how much, and what is required, with the direction."""
    late, latency = verdict().criteria[0].checks
    assert decision.sentence(late) == "lateness of requests, p99: 4.1 ms (required: ≤ 10 ms)"
    assert decision.sentence(latency) == "latency: 13 ms, bound 15 ms (required: ≤ 100 ms)"


@pytest.mark.parametrize(
    ("found", "who"),
    [
        (verdict(), "gaia checklist prod phase-1 lists the items"),
        (verdict(stage="prod"), "nothing left to sign"),
        (replace(verdict(), rehearsal=True), "no: a rehearsal is not signed"),
        (verdict(State.INCONCLUSIVE), "no: only a pass is signed, and this is inconclusive"),
    ],
)
def test_the_page_says_who_may_sign(found: Verdict, who: str) -> None:
    """Only a pass that is no rehearsal leads to the next stage."""
    assert who in page(found)


def test_what_did_not_pass_is_open_with_its_reason() -> None:
    """The checks of a pass are folded."""
    assert "<details><summary>" in page(verdict())
    failed = page(verdict(State.FAIL, "p99 is 130 ms"))
    assert "<details open><summary>" in failed
    assert "<small>prod.latency: p99 is 130 ms</small>" in failed


def test_a_server_cannot_write_into_the_page() -> None:
    """What a target answered is text."""
    attack = "</template><script>alert(1)</script>"
    text = page(verdict(State.FAIL, attack))
    assert attack not in text
    assert escape(attack) in text
