"""The attack table: what has been tried against a promotion, each refused with its message. Real git, real keys."""

import base64
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gaia_checks import files
from gaia_checks.deploy.state import deployment_ledger, paths
from gaia_checks.errors import ConfigurationError, EvidenceError, NotPromoted
from gaia_checks.judge import criteria_file
from gaia_checks.promotion import promote
from gaia_checks.promotion.statements import dsse, signed, statement, statements_ref
from gaia_checks.promotion.statements.dsse import Envelope
from gaia_checks.report import evidence
from tests.promotion.ground import PHASE, Ground, envelope_of, push_statement
from tests.support import clock, ssh_keys

LATER = "20260227T100000Z-000000"
EARLIER = "20260225T100000Z-000000"
NOW = datetime.now(UTC)


def stamp(at: datetime) -> str:
    """A time as it stands in statements."""
    return at.isoformat(timespec="milliseconds")


# folders -----------------------------------------------------------------------------------------


def test_a_copied_folder_does_not_outrank_a_later_gate_that_failed(ground: Ground) -> None:
    """Under a later name, byte for byte, recorded again: a statement counts where it was recorded first."""
    passed = ground.gate()
    ground.gate(LATER, failing="dev.health")
    copy = passed.with_name("20260301T100000Z-000000")
    shutil.copytree(passed, copy)
    push_statement(ground.origin, (copy / "statement.json").read_text())
    assert f"the newest gate (run {LATER}, statement 2) resulted in fail" in ground.refused()


def test_a_folder_that_no_gate_produced_promotes_nothing(ground: Ground) -> None:
    """Whoever can write a folder can seal it; without the gate's key there is no statement."""
    ground.evidence("20260226T100000Z-3fa9c1")
    assert f"no signed verdict of dev on {ground.commit[:12]} is recorded: gate it there first" in ground.refused()


def test_a_folder_that_was_sealed_again_is_refused(ground: Ground) -> None:
    """Also when verdict.json vouches for the changed file: the signed statement has the digest of every file."""
    folder = ground.gate()
    with (folder / "measurements.jsonl").open("a") as file:
        file.write("{}\n")
    record = json.loads((folder / "verdict.json").read_text())
    record["files"] = evidence.hashes(folder)
    (folder / "verdict.json").write_text(json.dumps(record))
    assert "measurements.jsonl was changed since the statement was signed: run the gate again" in ground.refused()


@pytest.mark.parametrize(
    ("tamper", "why"),
    [
        (lambda folder: (folder / "measurements.jsonl").unlink(), "measurements.jsonl is missing since"),
        (lambda folder: (folder / "more.txt").write_text("x"), "more.txt was added since"),
        (lambda folder: (folder / "verdict.json").unlink(), "verdict.json is missing since"),
        (lambda folder: (folder / "criteria.toml").write_text(""), "criteria.toml was changed since"),
        (lambda folder: (folder / "a\n\x1b[2Kb").write_text(""), r"a\n\x1b[2Kb was added since"),
    ],
)
def test_evidence_that_was_touched_is_refused(ground: Ground, tamper: Callable[[Path], object], why: str) -> None:
    """Where evidence is at hand it must be what was signed; names are printed without their control characters."""
    tamper(ground.gate())
    assert why in ground.refused()


# statements --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ("eve", "its key is not in allowed_signers"),
        ("ada", 'ada@example.test: allowed_signers:5: key is not permitted for use in signature namespace "gaia-verd'),
        ("gate-qa", 'gate-qa@example.test: allowed_signers:4: key is not permitted for use in signature namespace "g'),
    ],
)
def test_a_verdict_by_another_key_does_not_count(ground: Ground, who: str, why: str) -> None:
    """An unknown key's, a person's who may sign other things, another environment's gate."""
    ground.gate(by=who)
    assert (
        f"no signed verdict of dev on {ground.commit[:12]} is recorded (statement 1 (verdict dev) does not count: {why}"
    ) in ground.refused()


def test_a_statement_with_the_signature_of_another_is_refused(ground: Ground) -> None:
    """The payload was changed, or a verdict's signature stands under a sign-off."""
    failed = envelope_of(ground.gate(failing="dev.health"))
    forged = Envelope(failed.payload.replace(b'"state":"fail"', b'"state":"pass"'), failed.signatures)
    assert forged.payload != failed.payload
    push_statement(ground.origin, dsse.text(forged))
    predicate = {"environment": "qa", "item": "maintainer", "approves": failed.digest, "at": stamp(NOW)}
    approval = Envelope(statement.payload(statement.SIGN_OFF, ground.release, predicate), failed.signatures)
    push_statement(ground.origin, dsse.text(approval))
    notes = ground.examined().notes
    incorrect = "gate-dev@example.test: Signature verification failed: incorrect signature"
    assert notes[0] == f"statement 2 (verdict dev) does not count: {incorrect}"
    assert notes[1].startswith("statement 3 (sign-off qa) does not count: gate-dev@example.test: ")
    assert "resulted in fail" in ground.refused()


def test_a_pass_replayed_after_a_fail_stays_where_it_was_recorded(ground: Ground) -> None:
    """The same envelope once more, or the same statement in another envelope."""
    passed = envelope_of(ground.gate())
    ground.gate(LATER, failing="dev.health")
    push_statement(ground.origin, dsse.text(passed))
    push_statement(ground.origin, json.dumps(json.loads(dsse.text(passed))) + "\n\n")
    assert f"the newest gate (run {LATER}, statement 2) resulted in fail" in ground.refused()


def test_a_pass_that_was_withheld_until_after_a_fail_is_refused(ground: Ground) -> None:
    """Recorded last, but stated before the fail."""
    folder = ground.evidence("20260226T100000Z-3fa9c1")
    ground.statement("gate-dev", folder, run=LATER, state="fail")
    ground.statement("gate-dev", folder, run=EARLIER, at=stamp(NOW - timedelta(hours=1)))
    assert f"run {LATER} is later and resulted in fail" in ground.refused()


def test_two_runs_in_one_second_are_ordered_by_the_chain(ground: Ground) -> None:
    """Neither the name nor the clock decides."""
    folder = ground.evidence("20260226T100000Z-3fa9c1")
    ground.statement("gate-dev", folder, run="20260226T100000Z-ffffff", at=stamp(NOW))
    ground.statement("gate-dev", folder, run="20260226T100000Z-000000", at=stamp(NOW), state="inconclusive")
    why = "the newest gate (run 20260226T100000Z-000000, statement 2) resulted in inconclusive"
    assert why in ground.refused()


def test_a_fail_by_an_unknown_key_revokes_nothing(ground: Ground) -> None:
    """Whoever can push can append; it counts for nothing."""
    folder = ground.gate()
    ground.statement("eve", folder, run=LATER, state="fail")
    push_statement(ground.origin, "no statement at all")
    ground.sign("ada")
    assert ground.promote()[-1].startswith(f"deploy/qa/{PHASE} cut")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"rehearsal": True, "state": "fail"}, "the newest rehearsal (run"),
        ({"stage": "prod", "state": "inconclusive"}, "resulted in inconclusive"),
        ({"criteria": {"sha256": "0" * 64}}, "was judged by other criteria than those installed here"),
        (
            {"criteria": {"sha256": files.sha256(criteria_file.PATH), "own_sha256": "0" * 64}},
            "was judged by other criteria of your own than none: gate it again",
        ),
        ({"gate": {"dirty": True}}, "was measured by a modified gaia-checks: gate with a clean checkout"),
        ({"gate": {"foreign_plugins": ["evil\n"]}}, r"was measured with foreign pytest plugins: ['evil\n']"),
        ({"at": stamp(NOW + timedelta(hours=2))}, "is from the future ("),
        ({"at": stamp(NOW - timedelta(days=8))}, " h old, valid for 168 h"),
        ({"run": "../../qa/x"}, "no signed verdict of dev"),
        ({"run": "20260226T100000Z-3fa9c1\n"}, "no signed verdict of dev"),
        ({"at": "2026-02-26T10:00:00"}, "no signed verdict of dev"),
        ({"state": "passed"}, "no signed verdict of dev"),
        ({"evidence": None}, "no signed verdict of dev"),
    ],
)
def test_a_signed_statement_must_say_what_is_needed(ground: Ground, changes: dict[str, Any], why: str) -> None:
    """Even with the gate's own key."""
    ground.statement("gate-dev", ground.evidence("20260226T100000Z-3fa9c1"), **changes)
    assert why in ground.refused()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"sha256": "0" * 64}, "gated executable 000000000000; the commit's is "),
        ({"migrations": {"001_items": "0" * 64}}, "gated other migrations than the commit's"),
        ({"migrations": {}}, "gated other migrations than the commit's"),
        ({"phase": "phase-2"}, "gated phase-2 at"),
        ({"commit": "0" * 40}, "at 000000000000, not phase-1 at"),
    ],
)
def test_a_verdict_on_something_else_is_refused(ground: Ground, changes: dict[str, Any], why: str) -> None:
    """Executable and migrations are the commit's, whatever a statement or a folder says."""
    folder = ground.evidence("20260226T100000Z-3fa9c1")
    ground.statement("gate-dev", folder, release=replace(ground.release, **changes))
    assert why in ground.refused()


def test_the_same_executable_under_another_phase_can_revoke_but_not_vouch(ground: Ground) -> None:
    """Its pass changes nothing for this phase; its fail is a fail of these bytes."""
    folder = ground.gate()
    ground.sign("ada")
    other = replace(ground.release, phase="phase-2", commit="1" * 40)
    ground.statement("gate-dev", folder, release=other, run=LATER)
    assert ground.examined().missing == []
    ground.statement("gate-dev", folder, release=other, run="20260228T100000Z-000000", state="fail")
    assert "the newest gate (run 20260228T100000Z-000000, statement 4) resulted in fail" in ground.refused()


def test_easier_criteria_in_the_commit_promote_nothing(ground: Ground) -> None:
    """The release brings its own, and a gate that ran from its checkout passed by them."""
    easier = ground.origin.work / "gaia_checks" / "judge" / "criteria.toml"
    easier.parent.mkdir(parents=True)
    easier.write_text(
        criteria_file.PATH.read_text().replace('rule = "at_most", threshold = 0', 'rule = "at_most", threshold = 9')
    )
    ground.commit = ground.commit_release()
    ground.origin.tag(f"deploy/dev/{PHASE}", ground.commit)
    with ground.monkeypatch.context() as patch:
        patch.setattr(criteria_file, "PATH", easier)
        ground.gate()
    assert "was judged by other criteria than those installed here" in ground.refused()


# clocks ------------------------------------------------------------------------------------------


def test_a_gate_whose_clock_runs_ahead_outranks_no_later_fail(ground: Ground) -> None:
    """The fail is dated before the pass, and recorded after it: the pass counts neither now nor when its date comes."""
    now = datetime.now(UTC)
    with clock.wrong_by(ground.monkeypatch, timedelta(hours=2)):
        ground.gate()
    why = "the verdict of gate-dev@example.test (statement 1) is from the future ("
    assert why in ground.refused()
    ground.gate(LATER, failing="dev.health")
    failed = f"the newest gate (run {LATER}, statement 2) resulted in fail"
    assert failed in ground.refused()
    assert ground.examined(now=now + timedelta(hours=3)).faults == [failed]


def test_a_gate_whose_clock_runs_ahead_gains_no_time(ground: Ground) -> None:
    """Its verdict is refused until its date comes; a sign-off before that date ends before the verdict would."""
    now = datetime.now(UTC)
    with clock.wrong_by(ground.monkeypatch, timedelta(days=3)):
        ground.gate()
    ground.sign("ada")
    assert "compare the clocks of both machines" in ground.refused()
    assert ground.examined(now=now + timedelta(days=2, hours=23)).faults != []
    assert ground.examined(now=now + timedelta(days=3, hours=1)).missing == []
    assert (
        "not signed (the sign-off of ada@example.test (statement 2) is 169 h old, valid for 168 h)"
        in (ground.examined(now=now + timedelta(days=7, hours=1)).missing[0])
    )
    assert (
        "the verdict of gate-dev@example.test (statement 1) is 169 h old, valid for 168 h"
        in (ground.examined(now=now + timedelta(days=10, hours=1)).missing[0])
    )


def test_a_gate_whose_clock_is_behind_loses_time_and_still_revokes(ground: Ground) -> None:
    """Its pass is old at once; its fail is dated before the pass that it revokes, and recorded after it."""
    with clock.wrong_by(ground.monkeypatch, timedelta(days=-8)):
        ground.gate(EARLIER)
    assert "the verdict of gate-dev@example.test (statement 1) is 192 h old, valid for 168 h" in ground.refused()
    ground.gate()
    with clock.wrong_by(ground.monkeypatch, timedelta(days=-1)):
        ground.gate(LATER, failing="dev.health")
    assert f"the newest gate (run {LATER}, statement 3) resulted in fail" in ground.refused()


def test_a_clock_that_was_set_back_here_is_noticed(ground: Ground) -> None:
    """An old verdict does not become fresh: what was recorded since is from the future."""
    ground.gate()
    found = ground.examined(now=NOW - timedelta(days=30))
    assert "from the future" in found.missing[0]
    assert "compare the clocks of both machines" in found.missing[0]


def test_a_verdict_is_valid_for_as_long_as_the_stage_says(ground: Ground) -> None:
    """`valid_for`: seven days."""
    ground.gate()
    ground.sign("ada")
    assert ground.examined(now=NOW + timedelta(days=6, hours=23)).missing == []
    assert "valid for 168 h" in ground.examined(now=NOW + timedelta(days=7, hours=1)).missing[0]


# the chain ---------------------------------------------------------------------------------------


def test_a_rewritten_chain_is_refused_by_who_knew_it(ground: Ground) -> None:
    """A fail removed, the ref deleted, or hidden behind a second parent."""
    ground.gate()
    passed = ground.origin.statements()
    ground.gate(LATER, failing="dev.health")
    known = ground.origin.statements()
    assert passed
    assert known
    ground.origin.git_in("update-ref", statements_ref.REF, passed)
    with pytest.raises(EvidenceError, match=f"shows {passed[:12]}, which does not continue {known[:12]} as fetched be"):
        ground.promote()
    ground.origin.git_in("update-ref", "-d", statements_ref.REF)
    with pytest.raises(EvidenceError, match=f"shows nothing, which does not continue {known[:12]}"):
        ground.admit()
    ground.origin.git_in("update-ref", statements_ref.REF, known)
    push_statement(ground.origin, "x", parents=(passed, known))
    with pytest.raises(EvidenceError, match=r"has several parents: not a chain; restore"):
        ground.promote()
    ground.origin.git_in("update-ref", statements_ref.REF, known)
    assert "resulted in fail" in ground.refused()


def test_gates_that_end_together_are_recorded_one_after_another(ground: Ground) -> None:
    """Another machine was faster: the push is no fast-forward, and is made again on top."""
    folder = ground.evidence("20260226T100000Z-3fa9c1")
    ground.statement("gate-dev", folder)
    mirror, content = ground.remote.mirror, "by another machine"
    original = type(ground.remote).append
    raced: list[str] = []

    def slower(remote: Any, *words: Any) -> None:
        if not raced:
            raced.append(push_statement(ground.origin, content))
        original(remote, *words)

    ground.monkeypatch.setattr(type(ground.remote), "append", slower)
    ground.statement("gate-dev", folder, run=LATER)
    assert mirror.exists()
    assert [one.position for one in statements_ref.read(ground.fetched())] == [1, 3]


# tags --------------------------------------------------------------------------------------------


def test_a_tag_that_moved_after_its_gate_is_refused(ground: Ground) -> None:
    """The gate measured another commit."""
    ground.gate()
    moved = ground.commit_release("#!/bin/sh\nexit 1\n")
    ground.origin.tag(f"deploy/dev/{PHASE}", moved)
    assert f"no signed verdict of dev on {moved[:12]} is recorded" in ground.refused()


def test_a_promoted_tag_that_was_moved_is_not_deployed(ground: Ground) -> None:
    """By an annotated tag without a signature, by hand."""
    ground.promoted_to_qa()
    moved = ground.commit_release("#!/bin/sh\nexit 1\n")
    ground.origin.git("fetch", "--quiet", "--tags")
    ground.origin.tag(f"deploy/qa/{PHASE}", moved)
    why = ground.not_admitted()
    assert why.startswith(f"deploy/qa/{PHASE} was not promoted: deploy/qa/{PHASE} is not signed; ")
    assert f"no signed verdict of dev on {moved[:12]}" in why


def test_a_tag_pushed_straight_to_prod_is_not_deployed(ground: Ground) -> None:
    """On no branch, of an ungated commit."""
    ground.origin.git("checkout", "--quiet", "--detach")
    (ground.origin.work / "build" / "gaia_server").write_text("#!/bin/sh\n")
    ground.origin.git("commit", "--quiet", "--all", "--message", "on no branch")
    ground.origin.tag(f"deploy/prod/{PHASE}")
    why = ground.not_admitted("prod")
    assert f"deploy/prod/{PHASE} is not signed" in why
    assert "branch main does not contain" in why
    assert "no signed verdict of qa" in why


def test_a_lightweight_tag_is_not_deployed(ground: Ground) -> None:
    """It has no place for a signature."""
    ground.promoted_to_qa()
    ground.origin.git_in("update-ref", f"refs/tags/deploy/qa/{PHASE}", ground.commit)
    assert f"deploy/qa/{PHASE} is not a signed tag" in ground.not_admitted()


def test_a_signed_tag_under_another_name_is_not_deployed(ground: Ground) -> None:
    """The signature is real, the name is not: of another stage, or another phase of the same commit."""
    ground.promoted_to_qa()
    cut = ground.origin.git_in("rev-parse", f"refs/tags/deploy/qa/{PHASE}")
    ground.origin.git_in("update-ref", f"refs/tags/deploy/prod/{PHASE}", cut)
    assert f"deploy/prod/{PHASE} was cut as deploy/qa/{PHASE}: a copy under another name" in ground.not_admitted("prod")


@pytest.mark.parametrize(
    ("who", "why"), [("eve", "its key is not in allowed_signers"), ("grace", "grace@example.test: allowed_s")]
)
def test_a_tag_by_who_may_not_promote_is_neither_cut_nor_deployed(ground: Ground, who: str, why: str) -> None:
    """An unknown key, and somebody who may only sign off."""
    ground.gate()
    ground.sign("ada")
    assert f"deploy/qa/{PHASE}: its signature does not count: {why}" in ground.refused(by=who)
    ground.fetched().cut(f"deploy/qa/{PHASE}", ground.commit, "promoted, really", ground.keys[who])
    assert f"deploy/qa/{PHASE}: its signature does not count: {why}" in ground.not_admitted()


def test_a_fail_after_the_promotion_keeps_the_tag_out(ground: Ground) -> None:
    """What was true at the promotion is looked at again by who deploys."""
    ground.promoted_to_qa()
    assert ground.admit() == ground.commit
    ground.gate(LATER, failing="dev.health")
    assert f"the newest gate (run {LATER}, statement 3) resulted in fail" in ground.not_admitted()


# people ------------------------------------------------------------------------------------------


def test_the_author_of_the_commit_cannot_sign_it_off(ground: Ground) -> None:
    """Not by command, nor by a signature pushed by hand, nor for what a merge brings; unless the file says so."""
    folder = ground.gate()
    with pytest.raises(NotPromoted, match=r"maintainer: this signature would not count for a commit of one's own"):
        ground.sign("author")
    predicate = {"environment": "qa", "item": "maintainer", "approves": envelope_of(folder).digest, "at": stamp(NOW)}
    content = Envelope(statement.payload(statement.SIGN_OFF, ground.release, predicate), ())
    push_statement(ground.origin, dsse.text(by_hand(ground, content, "author", "gaia-sign-off/qa/maintainer@v1")))
    assert "Maintainer approval: not signed (a@example.test is an author of the commit)" in ground.refused()
    ground.commit_release(
        more=ssh_keys.line("a@example.test", "gaia-sign-off-own/qa/maintainer@v1", ground.keys["author"])
    )
    push_statement(ground.origin, dsse.text(by_hand(ground, content, "author", "gaia-sign-off-own/qa/maintainer@v1")))
    ground.fetched()
    assert ground.examined().missing == []


def by_hand(ground: Ground, content: Envelope, who: str, namespace: str) -> Envelope:
    """Sign with a key, whatever the commands would say."""
    # the same statement in other bytes: one that was recorded already counts where it came first
    return signed.make(content.payload + b" " * namespace.count("own"), namespace, ground.keys[who])


def test_a_sign_off_holds_for_one_verdict_only(ground: Ground) -> None:
    """After another gate it is to be signed again; for another item it never counted."""
    ground.gate()
    ground.sign("ada")
    ground.gate(LATER)
    command = f"gaia sign-off qa {PHASE} --item maintainer"
    assert (
        f"Maintainer approval: not signed (ada@example.test signed for another verdict): {command}" in ground.refused()
    )


def test_who_may_not_sign_an_item_cannot(ground: Ground) -> None:
    """An unknown key; somebody who may sign another item; a failing gate."""
    ground.gate()
    for who in ("eve", "grace"):
        with pytest.raises(NotPromoted, match="maintainer: this signature would not count: "):
            ground.sign(who)
    ground.gate(LATER, failing="dev.health")
    with pytest.raises(NotPromoted, match=f"nothing to sign off: run {LATER} resulted in fail"):
        ground.sign("ada")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("*@example.test {key}\n", "on branch qa:3: a name must be one identity, not a pattern"),
        ('"ada?" {key}\n', "on branch qa:3: a name must be one identity, not a pattern"),
        ("a\x1b[2Kb {key}\n", "on branch qa:3: a name must be one identity, not a pattern"),
    ],
)
def test_a_pattern_is_nobodys_name(ground: Ground, more: str, why: str) -> None:
    """Everybody of a company is no identity, and an escape sequence is no name."""
    public = " ".join((ground.folder / "keys" / "eve.pub").read_text().split()[:2])
    ground.commit_release(more=more.format(key=public))
    assert why in ground.refused()


def test_only_the_protected_branch_says_who_may_sign(ground: Ground) -> None:
    """A key that the commit itself lets in counts for nothing where qa's branch does not know it."""
    more = ssh_keys.line("eve@example.test", "gaia-verdict/dev@v1,gaia-sign-off/*,git", ground.keys["eve"])
    ground.commit = ground.commit_release("#!/bin/sh\nexit 1\n", "develop", more=more)
    ground.origin.tag(f"deploy/dev/{PHASE}", ground.commit)
    ground.gate(by="eve")
    assert "does not count: its key is not in allowed_signers" in ground.refused()


def test_a_removed_key_voids_what_it_signed(ground: Ground) -> None:
    """The tag is out, and so are the sign-offs."""
    ground.promoted_to_qa()
    ground.keys["ada"] = ssh_keys.make(ground.folder / "keys", "ada-2")
    ground.commit_release()
    why = ground.not_admitted()
    assert f"deploy/qa/{PHASE}: its signature does not count: its key is not in allowed_signers" in why
    assert "Maintainer approval: not signed" in why


# the ledger --------------------------------------------------------------------------------------


def test_a_ledger_without_a_line_is_named_with_the_line(ground: Ground) -> None:
    """Removed in the middle, cut at the end, replaced by that of another home."""
    dev = ground.environment("dev")
    for number in range(3):
        deployment_ledger.note(dev, "dev", PHASE, "gate", "fail", why=str(number))
    ground.gate()
    ledger = paths.of(dev).ledger
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join((lines[0], *lines[2:])))
    assert f"{ledger}:2: edited, or a line before it was removed, added or moved" in ground.refused()
    ledger.write_text("".join(lines[:2]))
    assert f"{ledger}:3: is gone: a signed statement names another" in ground.refused()
    ledger.unlink()
    ground.monkeypatch.setenv("GAIA_HOME", str(ground.folder / "other"))
    deployment_ledger.note(ground.environment("dev"), "dev", PHASE, "gate", "pass")
    ground.monkeypatch.setenv("GAIA_HOME", str(ground.folder / "home"))
    assert f"{ledger}:1: written for another GAIA_HOME" in ground.refused()


def test_a_forged_ledger_no_longer_has_the_stated_head(ground: Ground) -> None:
    """Written again from its first line, with links that fit: a signed statement names the line that was last."""
    dev = ground.environment("dev")
    for event in ("fail", "fail"):
        deployment_ledger.note(dev, "dev", PHASE, "gate", event)
    ground.gate()
    ledger = paths.of(dev).ledger
    ledger.unlink()
    for event in ("pass", "pass", "pass"):
        deployment_ledger.note(dev, "dev", PHASE, "gate", event)
    why = "this line or one before it was written again: a signed statement names another"
    assert f"{ledger}:2: {why}" in ground.refused()


def test_another_home_knows_no_other_past(ground: Ground) -> None:
    """A fresh GAIA_HOME with a ledger of its own changes nothing: it is no authority."""
    ground.gate(failing="dev.health")
    ground.monkeypatch.setenv("GAIA_HOME", str(ground.folder / "fresh"))
    ground.monkeypatch.setenv("GAIA_LOG_DIR", str(ground.folder / "fresh" / "log"))
    assert "resulted in fail" in ground.refused()


def test_names_with_control_characters_reach_no_message(ground: Ground) -> None:
    """A phase, an item, and the payload of a foreign statement."""
    foreign = {"payloadType": dsse.PAYLOAD_TYPE, "signatures": [{"sig": base64.b64encode(b"\x1b[2K").decode()}]}
    content = envelope_of(ground.gate(failing="dev.health")).payload.replace(b'"fail"', b'"pass"')
    push_statement(ground.origin, json.dumps({**foreign, "payload": base64.b64encode(content).decode()}))
    assert ground.refused().isprintable()
    with pytest.raises(ConfigurationError, match="is not a deployment tag"):
        promote.promote("phase-1\n\x1b[2K", "qa", ground.origin.url)
