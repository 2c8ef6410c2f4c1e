"""The terminal output."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from gaia_checks.gate.display import terminal
from gaia_checks.judge import criteria_file
from gaia_checks.model import CriterionVerdict, Release, State, Verdict
from gaia_checks.report import words


def verdict(*criteria: CriterionVerdict, rehearsal: bool = False) -> Verdict:
    """Make a verdict."""
    release = Release("phase-11.4", None, "ab" * 32, {})
    return Verdict("qa", "dev", "run-1", "2026-02-26T10:00:00.000Z", 65.2, State.FAIL, rehearsal, release, criteria)


def criterion(state: State, why: str, needs_s: float | None = None) -> CriterionVerdict:
    """Make a criterion's verdict."""
    return CriterionVerdict("dev.health", "Health", state, why, 0.9667, None, 1, "ratio", 1234, needs_s)


def printed(judged: Verdict, width: int = 120) -> str:
    """Print the table as a terminal would."""
    stream = io.StringIO()
    Console(file=stream, width=width).print(terminal.table(judged, width))
    return stream.getvalue()


def test_a_row_has_claim_measured_bound_threshold_n_and_state() -> None:
    """The columns are in this order, with units."""
    row = printed(verdict(criterion(State.PASS, "fine"))).splitlines()[1]
    assert row.split() == ["dev.health", "Health", "96.67", "%", "–", "100", "%", "1,234", "✓", "pass"]


@pytest.mark.parametrize(("width", "claims", "reason"), [(80, False, False), (100, True, False), (160, True, True)])
def test_no_word_is_broken_at_any_width(width: int, *, claims: bool, reason: bool) -> None:
    """Every criterion of the project has one line; claims need 100 columns, reasons 160."""
    every = [
        replace(criterion(State.INCONCLUSIVE, "not checked yet"), id=each.id, claim=each.claim, n=1_234_567)
        for each in criteria_file.load(criteria_file.PATH).for_stage("prod")
    ]
    lines = printed(verdict(*every), width).splitlines()
    assert max(map(len, lines)) <= width
    for each in every:
        row = next(line for line in lines if line.split()[:1] == [each.id])
        assert "1,234,567" in row
        assert "? inconclusive" in row
        assert (each.claim[:20] in row) is claims
        assert ("not checked yet" in row) is reason
    words_written = set("".join(printed(verdict(*every), width)).split())
    assert {word for each in every for word in each.id.split()} <= words_written


def test_the_reasons_name_what_did_not_pass() -> None:
    """A reason includes how much more time would decide, if known."""
    undecided = criterion(State.INCONCLUSIVE, "60 s of 300 s", needs_s=240)
    other = replace(undecided, id="dev.log")
    judged = verdict(undecided, criterion(State.PASS, "fine"), other, criterion(State.FAIL, "no"))
    assert [line.plain for line in terminal.reasons(judged)] == [
        "? dev.health, dev.log: 60 s of 300 s (about 4 min 00 s more would decide)",
        "✗ dev.health: no",
    ]


def test_what_does_not_apply_is_shown_with_its_reason() -> None:
    """It has a row and a reason, and is not counted among the criteria that could have passed."""
    absent = replace(criterion(State.NOT_APPLICABLE, "plain http"), measured=None, n=0)
    judged = verdict(absent, criterion(State.PASS, "fine"))
    assert printed(judged).splitlines()[1].split() == [
        "dev.health",
        "Health",
        "–",
        "–",
        "100",
        "%",
        "–",
        "–",
        "not",
        "applicable",
    ]
    assert [line.plain for line in terminal.reasons(judged)] == ["– dev.health: plain http"]
    assert terminal.headline(judged).startswith("1 of 1 applicable criteria of stage dev passed on qa of phase-11.4")


def test_remarks_follow_the_table() -> None:
    """The CPU shares are written once, before the reasons."""
    stream, remark = io.StringIO(), "CPU during load: the gate itself took 11 % of a core"
    terminal.show(Console(file=stream, width=120), replace(verdict(criterion(State.FAIL, "no")), remarks=(remark,)))
    written = stream.getvalue()
    assert written.count(remark) == 1
    assert written.index("1,234") < written.index(remark) < written.index("dev.health: no")


def test_the_headline_says_what_the_verdict_means() -> None:
    """It gives the passed criteria, release, environment, and whether the run promotes."""
    judged = verdict(criterion(State.PASS, "fine"), criterion(State.FAIL, "no"), rehearsal=True)
    assert terminal.headline(judged) == (
        "1 of 2 criteria of stage dev passed on qa of phase-11.4 (abababababab) after 1 min 05 s; "
        "a rehearsal promotes nothing"
    )


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "ms", "–"),
        (True, "bool", "yes"),
        (False, "bool", "no"),
        (30, "count", "30"),
        (6000, "count", "6,000"),
        (0.9995, "ratio", "99.95 %"),
        (0.99983, "ratio", "99.983 %"),
        (1, "ratio", "100 %"),
        (12.3456, "ms", "12.35 ms"),
        (99.96, "ms", "99.96 ms"),
        (0.0, "s", "0 s"),
        ("050_x", "text", "050_x"),
    ],
)
def test_values_are_written_with_their_unit(value: float | str | bool | None, unit: str, text: str) -> None:
    """Enough digits to see on which side of a threshold a value is."""
    assert words.amount(value, unit) == text
