"""The verdict as text."""

from dataclasses import replace

import pytest

from gaia_checks.model import CriterionVerdict, Finding, Measurement, Release, State, Verdict
from gaia_checks.report import page, words


def criterion(identity: str, state: State, why: str, *, n: int = 30, needs_s: float | None = None) -> CriterionVerdict:
    """A criterion judged on one check."""
    found = Finding("load.outcomes", state, why, 0.99983, 0.99951, 0.9995, "ratio", n, needs_s)
    return CriterionVerdict(
        identity, f"Claim of {identity}", state, why, 0.99983, 0.99951, 0.9995, "ratio", n, needs_s, (found,)
    )


@pytest.fixture
def verdict() -> Verdict:
    """A verdict with every state."""
    return Verdict(
        environment="qa",
        stage="qa",
        run="20260226T100000Z-3fa9c1",
        started_at="2026-02-26T10:00:00.000Z",
        duration_s=185.4,
        state=State.FAIL,
        rehearsal=False,
        release=Release("phase-11.4", "c" * 40, "a" * 64, {"050_a": "1", "050_b": "2"}),
        criteria=(
            criterion("dev.good", State.PASS, "all good"),
            criterion("dev.bad", State.FAIL, "3 of 30 | <b>worse</b>\nthan allowed"),
            criterion("qa.open", State.INCONCLUSIVE, "not enough", needs_s=95),
            criterion("qa.unchecked", State.INCONCLUSIVE, "its test did not run", n=0),
            criterion("qa.unchecked_too", State.INCONCLUSIVE, "its test did not run", n=0),
            criterion("qa.absent", State.NOT_APPLICABLE, "plain http", n=0),
        ),
    )


def test_the_state_and_the_release_stand_first(verdict: Verdict) -> None:
    """The top of the page gives the outcome, the numbers of criteria and the release."""
    head = page.markdown(verdict).partition("## Criteria")[0]
    assert head.startswith(
        "# ✗ FAIL: qa, stage qa\n\nA criterion is not met: 1 pass, 1 fail, 3 inconclusive, 1 not applicable."
    )
    assert "took 3 min 05 s" in head
    assert f"release `phase-11.4`, commit `cccccccccccc`, sha256 `{'a' * 64}`, migrations: 050_a, 050_b" in head
    assert "Rehearsal" not in head


def test_every_criterion_has_a_row(verdict: Verdict) -> None:
    """Claim, measured, bound, threshold, n and state, with units."""
    rows = [line for line in page.markdown(verdict).splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(verdict.criteria)
    assert rows[2] == "| dev.good | Claim of dev.good | 99.983 % | 99.951 % | 99.95 % | 30 | ✓ pass |"


def test_a_reason_cannot_break_the_page(verdict: Verdict) -> None:
    """Markup in a server's response is escaped."""
    text = page.markdown(verdict)
    assert "- **dev.bad**: 3 of 30 \\| &lt;b>worse&lt;/b> than allowed" in text


def test_what_did_not_pass_is_explained(verdict: Verdict) -> None:
    """Not met, not decided and not checked are separate sections; equal reasons are written once."""
    text = page.markdown(verdict)
    assert "## Not decided\n\n- **qa.open**: not enough (about 1 min 35 s more would decide)" in text
    assert "## Not checked\n\n- **qa.unchecked**, **qa.unchecked_too**: its test did not run" in text
    assert "## Not applicable\n\n- **qa.absent**: plain http" in text


def test_a_failure_names_the_gate_in_which_it_passed_last(verdict: Verdict) -> None:
    """On its own line, and escaped as its reason is."""
    text = page.markdown(verdict, {"dev.bad": "run 1 (commit 0123456, <b>)"})
    [line] = [line for line in text.splitlines() if line.startswith("- **dev.bad**")]
    assert line.endswith("than allowed; passed last in run 1 (commit 0123456, &lt;b>)")
    assert "passed last" not in page.markdown(verdict)


def test_a_rehearsal_says_so(verdict: Verdict) -> None:
    """The page marks a rehearsal."""
    assert "**Rehearsal**" in page.markdown(replace(verdict, rehearsal=True))


def test_inconclusive_is_no_pass() -> None:
    """The page of a gate without criteria and release is inconclusive and complete."""
    text = page.markdown(Verdict("dev", "dev", "r", "t", 0.0, State.INCONCLUSIVE, False, None, ()))
    assert text.startswith(
        "# ? INCONCLUSIVE: dev, stage dev\n\nThe evidence does not decide; this is not a pass: no criteria"
    )
    assert "release: unknown, the target does not report it" in text


def test_a_verdict_in_one_line(verdict: Verdict) -> None:
    """The title of the report."""
    assert page.summary(verdict) == "FAIL: qa, stage qa, phase-11.4 (1 pass, 1 fail, 3 inconclusive, 1 not applicable)"


def test_the_findings_of_a_criterion_line_up(verdict: Verdict) -> None:
    """Every check with its numbers, in columns, and why."""
    lines = page.findings(verdict.criteria[2]).splitlines()
    assert lines[:2] == ["qa.open: Claim of qa.open", "? inconclusive: not enough (about 1 min 35 s more would decide)"]
    assert lines[3].index("measured") == lines[4].index("99.983 %")
    assert lines[-1] == "? load.outcomes: not enough (about 1 min 35 s more would decide)"


def test_the_evidence_shows_measurements_but_no_endless_value(verdict: Verdict) -> None:
    """A histogram is named, not printed; all notes are printed."""
    latency = Measurement(
        "load.latency", "x" * 5000, "hdr", 6000, 60.0, "2026-02-26T10:01:00.000Z", "sent to done", ("a", "b")
    )
    text = page.evidence(verdict.criteria[0], [latency])
    assert "(5002 characters) hdr, n = 6000" in text
    assert "sent to done; observed for 1 min 00 s until 2026-02-26T10:01:00.000Z\n  - a\n  - b" in text
    assert len(text) < 1000


def test_remarks_give_the_cpu_shares_during_each_load() -> None:
    """There is one line per load, by the newest measurements; unknown shares are left out."""
    at = "2026-02-26T10:00:00.000Z"
    shares = {
        "protection.cpu_of_gate": 0.3, "load.cpu_of_gate": 0.114, "load.cpu_of_generator": 0.14,
        "load.cpu_of_server": 0.31, "load.cpu_of_others_mean": 0.034, "load.cpu_of_others": 0.5,
    }  # fmt: skip
    measured = [Measurement(name, share, "ratio", 60, 60.0, at, "sampled") for name, share in shares.items()]
    remarks = words.remarks([replace(measured[1], value=0.9), replace(measured[0], value=None, n=0), *measured])
    assert set(remarks) == {
        "CPU during load: the gate itself took 11 % of a core, the load generator 14 %, the server 31 %, others 3 %",
        "CPU during protection: the gate itself took 30 % of a core",
    }
    assert words.remarks([]) == ()


def test_remarks_about_the_run_stand_below_the_table(verdict: Verdict) -> None:
    """Remarks come before the reasons and change none of them."""
    plain, remarked = page.markdown(verdict), page.markdown(replace(verdict, remarks=("CPU during load: much",)))
    assert remarked.replace("- CPU during load: much\n\n", "") == plain
    assert remarked.index("| id |") < remarked.index("- CPU during load: much") < remarked.index("## Not")
