"""The history: one entry per deployment, gate, tag change and sign-off."""

import json

from gaia_checks import jsonl
from gaia_checks.deploy.reporting import history
from gaia_checks.deploy.reporting.history import Entry
from gaia_checks.deploy.state import deployment_ledger, paths
from tests.deploy.stage import Stage

BY = "gaia@host"


def line(second: int, step: str, event: str, **facts: str) -> dict[str, str]:
    """One record of the ledger."""
    at = f"2026-02-26T10:00:{second:02}.250Z"
    return {"at": at, "environment": "qa", "phase": "phase-1", "step": step, "event": event, "by": BY, **facts}


def test_the_records_of_a_deployment_are_one_entry() -> None:
    """The entry spans the first to the last record and takes the commit from one of the steps."""
    records = [
        line(0, "deployment", "started", deployment="d1", kind="deploy"),
        line(1, "artifact", "made", deployment="d1", commit="c" * 40),
        line(1, "deploy", "finished", deployment="d1"),
        line(2, "deployment", "finished", deployment="d1"),
    ]
    at = "2026-02-26T10:00:00.250Z"
    assert history.entries(records, "qa") == [Entry(at, "deploy", "phase-1", "finished", 2.0, BY, "c" * 40, None)]
    assert history.entries(records, "dev") == []


def test_a_failed_deployment_names_step_and_cause() -> None:
    """The entry gives the cause once, with the failed step."""
    records = [
        line(0, "deployment", "started", deployment="d1"),
        line(1, "prepare", "failed", deployment="d1", why="the disk is full"),
        line(1, "deployment", "failed", deployment="d1", why="the disk is full"),
    ]
    [entry] = history.entries(records, "qa")
    assert (entry.outcome, entry.why) == ("failed", "prepare: the disk is full")


def test_an_unfinished_deployment_is_open_or_interrupted() -> None:
    """The next deployment records a killed one as interrupted; one without a closing record is open."""
    records = [
        line(0, "deployment", "started", deployment="d1"),
        line(3, "deployment", "interrupted", deployment="d1"),
        line(3, "deployment", "started", deployment="d2"),
    ]
    assert [(one.outcome, one.took_s) for one in history.entries(records, "qa")] == [
        ("interrupted", 3.0),
        ("open", None),
    ]


def test_tags_gates_and_sign_offs_are_entries() -> None:
    """Each record is an entry; a sign-off names the person, not the account."""
    records = [
        line(0, "tag", "new", commit="c" * 40),
        line(1, "gate", "pass", evidence="/reports/qa/1"),
        line(2, "sign-off", "pass", evidence="/reports/qa/1", name="Ada"),
        line(3, "tag", "deleted", commit="c" * 40),
    ]
    shown = [(one.what, one.outcome, one.by, one.why) for one in history.entries(records, "qa")]
    assert shown == [
        ("tag", "new", BY, None),
        ("gate", "pass", BY, "/reports/qa/1"),
        ("sign-off", "pass", "Ada", "/reports/qa/1"),
        ("tag", "deleted", BY, None),
    ]


def test_the_history_command_shows_deployments_and_gates(stage: Stage) -> None:
    """The command prints columns, or JSON with --json; without a ledger the history is empty."""
    assert json.loads(stage.gaia("history", str(stage.file), "--json").stdout) == []
    stage.deploy()
    deployment_ledger.note(stage.environment, "stage", "worktree", "gate", "fail", evidence="/reports/1")
    [deployed, gated] = json.loads(stage.gaia("history", str(stage.file), "--json").stdout)
    assert (deployed["phase"], deployed["outcome"]) == ("worktree", "finished")
    assert deployed["took_s"] > 0
    assert (gated["what"], gated["outcome"], gated["why"]) == ("gate", "fail", "/reports/1")
    head, first, second = stage.gaia("history", str(stage.file)).stdout.splitlines()
    assert head.split() == ["at", "what", "phase", "outcome", "seconds", "by", "commit", "why"]
    assert first.split()[2:4] == ["worktree", "finished"]
    assert second.split()[-1] == "/reports/1"


def test_the_last_tag_event_determines_its_presence(stage: Stage) -> None:
    """A tag is present after "new", absent after "deleted", and unknown without a record."""
    ledger = paths.of(stage.environment).ledger
    assert deployment_ledger.tag_observed(ledger, "stage", "phase-1") is None
    for event, present in (("new", True), ("deleted", False), ("new", True), ("warning", True)):
        deployment_ledger.note(stage.environment, "stage", "phase-1", "tag", event)
        assert deployment_ledger.tag_observed(ledger, "stage", "phase-1") is present
    assert [record["event"] for record in jsonl.read(ledger)] == ["new", "deleted", "new", "warning"]
