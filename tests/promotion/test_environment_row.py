"""The command that comes next in an environment, and the lines that people read."""

from dataclasses import replace

import pytest

from gaia_checks.promotion.environment_row import ELSEWHERE, EnvironmentRow, Judged, lines, next_step

COMMIT = "c" * 40
RUN = "20260226T100000Z-3fa9c1"
SINCE = "2026-02-26T09:00:00.000Z"
PASSED = Judged("pass", RUN, rehearsal=False, by="gate@example.test", until="2026-03-05T10:00:00.000Z")


def serving(**changes: object) -> EnvironmentRow:
    """An environment of the first stage with a gated release in service."""
    row = EnvironmentRow("dev", "dev", "running", "phase-1", COMMIT, SINCE, verdict=PASSED, following="qa")
    for name, value in changes.items():
        setattr(row, name, value)
    return row


@pytest.mark.parametrize(
    ("row", "command"),
    [
        (serving(), "gaia promote phase-1 --to qa"),
        (serving(entered=True), None),
        (serving(entered=True, verdict=Judged("fail", RUN, rehearsal=False, by="g")), "gaia history dev"),
        (serving(unsigned=["maintainer", "qa"]), "gaia sign-off qa phase-1 --item maintainer"),
        (serving(verdict=None), "python -m pytest --env=dev"),
        (serving(verdict=Judged("inconclusive", RUN, rehearsal=False, by="g")), "python -m pytest --env=dev"),
        (serving(verdict=Judged("pass", RUN, rehearsal=False)), "python -m pytest --env=dev"),
        (serving(verdict=Judged("fail", RUN, rehearsal=False, by="g")), "gaia history dev"),
        (serving(verdict=Judged("pass", RUN, rehearsal=False, by="g", why="too old")), "gaia checklist qa phase-1"),
        (serving(state="crashed"), "gaia doctor dev"),
        (serving(waiting="phase-2"), "gaia deploy dev phase-2"),
        (serving(following=None), None),
        (serving(following=None, verdict=Judged("pass", RUN, rehearsal=True)), None),
        (serving(state="stopped", since=None, verdict=None), "gaia deploy dev phase-1"),
        (serving(state=ELSEWHERE, since=None), "gaia promote phase-1 --to qa"),
        (serving(state=ELSEWHERE, since=None, promotion="refused"), "gaia checklist dev phase-1"),
        (EnvironmentRow("dev", "dev", ELSEWHERE), "gaia release PHASE --to dev"),
        (EnvironmentRow("qa", "qa", ELSEWHERE), None),
        (EnvironmentRow("dev"), None),
    ],
)
def test_the_next_command(row: EnvironmentRow, command: str | None) -> None:
    """Each state has one command, or none where nothing is left to do."""
    assert next_step(row) == command


def test_the_lines_say_what_is_in_service_and_for_how_long_its_verdict_holds() -> None:
    """Release, verdict, promotion, next command and what could not be read."""
    row = serving(promotion="tag", promoted_by="a tag alone", waiting="phase-2", remarks=["remote not read: away"])
    assert list(lines(row)) == [
        ("release", "running", "phase-1, commit cccccccccccc, since 2026-02-26 09:00 UTC; newer tag: phase-2"),
        ("verdict", "pass", f"run {RUN}, signed by gate@example.test; valid for qa until 2026-03-05 10:00 UTC"),
        ("let in", "tag", "a tag alone"),
        ("next", "-", "gaia deploy dev phase-2"),
        ("remark", "warning", "remote not read: away"),
    ]


def test_what_would_be_refused_now_says_the_first_reason() -> None:
    """One line, however much is missing."""
    row = serving(promotion="refused", promoted_by="tag signed by ada", lacks=["too old", "b", "c"])
    assert ("let in", "refused", "tag signed by ada; now lacks: too old (and 2 more)") in list(lines(row))
    assert ("let in", "signed", "tag signed by ada") in list(lines(replace(row, promotion="signed", lacks=[])))


def test_a_verdict_that_is_not_valid_says_why() -> None:
    """An unsigned rehearsal, and nothing at all."""
    unsigned = Judged("pass", RUN, rehearsal=True, why="no signature of a gate on it counts")
    assert ("verdict", "pass", f"rehearsal {RUN}, unsigned; not valid for qa: no signature of a gate on it counts") in (
        list(lines(serving(verdict=unsigned)))
    )
    assert ("verdict", "-", "not gated") in list(lines(serving(verdict=None)))
