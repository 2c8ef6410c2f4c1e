"""The verdict on a terminal and in a pipe."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from gaia_checks.gate.display import stream, verdict_view
from gaia_checks.gate.display.next_steps import NextSteps
from gaia_checks.judge import criteria_file
from gaia_checks.model import CriterionVerdict, Release, State, Verdict
from tests.report import past


def verdict(*criteria: CriterionVerdict, rehearsal: bool = False) -> Verdict:
    """Make a verdict."""
    release = Release("phase-11.4", None, "ab" * 32, {})
    return Verdict("qa", "dev", "run-1", "2026-02-26T10:00:00.000Z", 65.2, State.FAIL, rehearsal, release, criteria)


CRITERIA = criteria_file.load(criteria_file.PATH)


def criterion(state: State, why: str, needs_s: float | None = None) -> CriterionVerdict:
    """Make a criterion's verdict."""
    return CriterionVerdict("dev.health", "Health", state, why, 0.9667, None, 1, "ratio", 1234, needs_s)


def printed(judged: Verdict, width: int = 120) -> str:
    """Print the table as a terminal would."""
    written = io.StringIO()
    Console(file=written, width=width).print(verdict_view.table(judged, width))
    return written.getvalue()


def shown(judged: Verdict, *, terminal: bool = False, width: int = 140) -> str:
    """Return all that a person or a pipe gets."""
    written = io.StringIO()
    console = Console(
        file=written, width=width, highlight=False, soft_wrap=not terminal, force_terminal=terminal, color_system=None
    )
    verdict_view.show(console, judged, NextSteps(judged, Path("reports/qa/run-1"), CRITERIA))
    return written.getvalue()


def undecided(judged: Verdict, named: int | None = None) -> list[str]:
    """Return the lines about what neither passed nor failed."""
    steps = NextSteps(judged, Path("reports/qa/run-1"), CRITERIA)
    return [line.plain for line in verdict_view.undecided(judged, steps, named)]


def test_a_row_has_claim_measured_bound_threshold_n_and_state() -> None:
    """The columns are in this order, with units."""
    row = printed(verdict(criterion(State.PASS, "fine"))).splitlines()[1]
    assert row.split() == ["dev.health", "Health", "96.67", "%", "–", "100", "%", "1,234", "✓", "pass"]


@pytest.mark.parametrize(("width", "claims", "reason"), [(80, False, False), (100, True, False), (160, True, True)])
def test_no_word_is_broken_at_any_width(width: int, *, claims: bool, reason: bool) -> None:
    """Every criterion of the project has one line; claims need 100 columns, reasons 160."""
    every = [
        replace(criterion(State.INCONCLUSIVE, f"no {each.id} yet"), id=each.id, claim=each.claim, n=1_234_567)
        for each in criteria_file.load(criteria_file.PATH).for_stage("prod")
    ]
    lines = printed(verdict(*every), width).splitlines()
    assert max(map(len, lines)) <= width
    for each in every:
        row = next(line for line in lines if line.split()[:1] == [each.id])
        assert "1,234,567" in row
        assert "? inconclusive" in row
        assert (each.claim[:18] in row) is claims
        assert (f"no {each.id}" in row) is reason
    words_written = set("".join(printed(verdict(*every), width)).split())
    assert {word for each in every for word in each.id.split()} <= words_written


def test_criteria_with_one_reason_share_a_line_and_a_next_step() -> None:
    """A reason includes how much more time would decide, if known, and the setting that gives it."""
    open_ = replace(criterion(State.INCONCLUSIVE, "too few", needs_s=240), id="dev.log")
    judged = verdict(open_, criterion(State.PASS, "fine"), replace(open_, n=2), criterion(State.FAIL, "no"))
    window_s = CRITERIA.looks["log"]["window_s"] + 240
    assert undecided(judged) == [
        "? dev.log, dev.log: too few (about 4 min 00 s more would decide)",
        f"  next  repeat it with window_s = {window_s:.0f} under [looks.log] of qa.toml",
    ]


def test_many_criteria_with_one_reason_are_counted_on_a_terminal_and_named_in_a_pipe() -> None:
    """One failure that ends a gate is not 17 lines, and a search for an id finds its reason."""
    open_ = [replace(criterion(State.INCONCLUSIVE, "cut short: dev.process failed"), id=f"qa.c{n}") for n in range(17)]
    judged = verdict(*open_)
    assert undecided(judged, named=3) == ["? 17 criteria: cut short: dev.process failed"]
    [line] = undecided(judged)
    assert line.startswith("? qa.c0, qa.c1, ")
    assert "qa.c16: cut short" in line
    assert shown(judged, terminal=True, width=160).count("cut short") == 2  # the first row of the table, and the line


def test_what_failed_stands_first_and_last_in_three_lines() -> None:
    """What was measured and allowed, why, and what to do next with the file to open."""
    text = shown(verdict(criterion(State.FAIL, "33 of 1234 wrong"), criterion(State.PASS, "fine")))
    lines = [line for line in text.splitlines() if line]
    failure = [
        "✗ dev.health: measured 96.67 % (n 1,234), threshold 100 %: Health",
        "  why   33 of 1234 wrong",
        "  next  open reports/qa/run-1/report.html: send the request above yourself",
    ]
    assert lines[0].startswith("✗ FAIL  1 of 2 criteria")
    assert lines[1:4] == failure
    assert lines[-4:-1] == failure
    assert lines[-1] == lines[0]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_failure_names_the_gate_in_which_it_passed_last(tmp_path: Path, *, terminal: bool) -> None:
    """Before the next step, from the evidence beside the gate's; what never passed has no such line."""
    past.gate(tmp_path, 0)
    folder, judged = past.gate(tmp_path, 1, past.SLOW)
    written = io.StringIO()
    console = Console(file=written, width=80, highlight=False, soft_wrap=not terminal, color_system=None)
    verdict_view.show(console, judged, NextSteps(judged, folder, CRITERIA))
    lines = written.getvalue().splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("✗ dev.websocket"))
    assert lines[place + 2] == f"  last  passed last in run {past.run(0)} (commit 0000000)"
    assert lines[place + 3].startswith("  next  open ")
    assert written.getvalue().count("passed last") == 2
    assert "passed last" not in shown(verdict(criterion(State.FAIL, "no")))


@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_failure_fits_a_terminal(width: int) -> None:
    """Of a long reason the beginning and the end are shown: the end names what was answered."""
    why = f"3 of 1234 wrong; worst: GET /api/{'x' * 400} answered status 500"
    lines = shown(verdict(criterion(State.FAIL, why)), terminal=True, width=width).splitlines()
    reason = next(line for line in lines if line.startswith("  why"))
    assert len(reason) <= width
    assert reason.startswith("  why   GET /api/")
    assert reason.endswith("answered status 500")


def test_a_criterion_has_one_line_in_a_pipe() -> None:
    """A search for its claim finds its state."""
    every = [replace(criterion(State.PASS, "fine"), id=each.id, claim=each.claim) for each in CRITERIA.criteria]
    lines = shown(verdict(*every)).splitlines()
    for each in every:
        assert any(each.claim in line and "✓ pass" in line for line in lines), each.claim


def test_nothing_is_cut_in_a_pipe() -> None:
    """A search finds the whole reason in one line."""
    why = f"3 of 1234 wrong; worst: GET /api/{'x' * 400} answered status 500"
    assert f"  why   {why}" in shown(verdict(criterion(State.FAIL, why))).splitlines()


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
    assert undecided(judged) == ["– dev.health: plain http"]
    assert verdict_view.headline(judged).startswith(
        "1 of 1 applicable criteria of stage dev passed on qa of phase-11.4"
    )


def test_remarks_follow_the_table() -> None:
    """The CPU shares are written once, before the reasons."""
    remark = "CPU during load: the gate itself took 11 % of a core"
    written = shown(replace(verdict(criterion(State.FAIL, "no")), remarks=(remark,)))
    assert written.count(remark) == 1
    assert written.rindex("claim") < written.index(remark) < written.rindex("dev.health: measured")


def test_the_headline_says_what_the_verdict_means() -> None:
    """It gives the passed criteria, release, environment, and whether the run promotes."""
    judged = verdict(criterion(State.PASS, "fine"), criterion(State.FAIL, "no"), rehearsal=True)
    assert verdict_view.headline(judged) == (
        "1 of 2 criteria of stage dev passed on qa of phase-11.4 (abababababab) after 1 min 05 s; "
        "a rehearsal promotes nothing"
    )


def test_no_colour_in_a_pipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever FORCE_COLOR says, a file has no escape sequences, and a row is one line however wide it is."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    with (tmp_path / "out.txt").open("w", encoding="utf-8") as original, stream.duplicate(original) as file:
        on = stream.console(file)
        judged = verdict(criterion(State.FAIL, "no " * 100))
        verdict_view.show(on, judged, NextSteps(judged, tmp_path, CRITERIA))
    text = (tmp_path / "out.txt").read_text("utf-8")
    assert "\x1b" not in text
    assert f"  why   {'no ' * 100}".rstrip() in text.splitlines()


def test_an_encoding_without_the_signs_gets_ascii(tmp_path: Path) -> None:
    """The marks stay distinguishable, and nothing becomes an escape."""
    with (tmp_path / "out.txt").open("w", encoding="ascii") as original, stream.duplicate(original) as file:
        on = stream.console(file)
        judged = verdict(criterion(State.PASS, "fine"), criterion(State.FAIL, "no"))
        verdict_view.show(on, judged, NextSteps(judged, Path("reports/qa/run-1"), CRITERIA))
    text = (tmp_path / "out.txt").read_text("ascii")
    assert "+ pass" in text
    assert "x FAIL" in text
    assert "\\u" not in text
