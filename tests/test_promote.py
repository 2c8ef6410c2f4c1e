"""Promotion: what it needs, and every way in which it can be missing or forged. Real git, real evidence."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gaia_checks import cli, environment_file, files, jsonl, promote
from gaia_checks.deploy.git.tag import Tag
from gaia_checks.deploy.release import release_folder
from gaia_checks.deploy.state import deployment_ledger, paths
from gaia_checks.environment_file import Environment
from gaia_checks.errors import ConfigurationError, EvidenceError, NotPromoted, RemoteAway
from gaia_checks.judge import criteria_file, judgement
from gaia_checks.model import Measurement, State
from gaia_checks.report import evidence
from tests.support.forge import Forge, forge

PHASE = "phase-1"
RUN = "20260226T100000Z-3fa9c1"
AT = datetime(2026, 2, 26, 10, tzinfo=UTC)


@dataclass(frozen=True)
class Ground:
    """A repository, a release in dev that was deployed from its tag, and folders for evidence and ledger."""

    origin: Forge
    folder: Path
    commit: str
    release: Path

    @property
    def dev(self) -> Environment:
        """The project's own dev environment."""
        return environment_file.load("dev")

    def gate(self, run: str = RUN, *, failing: str | None = None, rehearsal: bool = False, record: bool = True) -> Path:
        """Write the evidence of a gate as the gate writes it: all that dev promises holds, but for `failing`."""
        dev = replace(self.dev, looks={"log": {"window_s": 60}}) if rehearsal else self.dev
        criteria = criteria_file.load(overrides=dev.looks)
        promised = criteria.for_stage("dev")
        folder = evidence.create(dev.reports, dev, "dev", run, promised, AT)
        for criterion in promised:
            for check in criterion.checks:
                good = 30 if check.rule == "all_good" else check.threshold
                value = not good if criterion.id == failing else good
                measure(folder, check.measurement, value)
            measure(folder, judgement.outcome_name(criterion.id), "passed")
        measure(folder, judgement.FINISHED, value=True)
        judged = judgement.judge(promised, evidence.read_measurements(folder), rehearsal=criteria.rehearsal)
        verdict = replace(
            evidence.read_verdict(folder),
            state=judgement.overall(judged),
            release=release_folder.read(self.release),
            criteria=judged,
        )
        evidence.seal(folder, verdict, dev)
        if record:
            promote.record_gate(dev, PHASE, self.commit, folder)
        return folder

    def promote(self, to: str = "qa") -> str:
        """Promote the phase."""
        return promote.promote(PHASE, to, self.origin.url)

    def refused(self) -> str:
        """Return why the promotion was refused; no tag was cut."""
        before = self.origin.tags()
        with pytest.raises(NotPromoted) as raised:
            self.promote()
        assert self.origin.tags() == before
        return str(raised.value)


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """One release on all branches, tagged for dev and kept there."""
    for name, folder in (("GAIA_HOME", "home"), ("GAIA_LOG_DIR", "log"), ("GAIA_REPORTS", "reports")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    origin = forge(tmp_path / "forge")
    commit = origin.release("#!/bin/sh\nexec sleep 60\n", "develop", "qa", "main")
    origin.tag(f"deploy/dev/{PHASE}")
    here = paths.of(environment_file.load("dev"))
    paths.prepare(here)
    monkeypatch.setattr(release_folder, "ROOT", origin.work)
    monkeypatch.setattr("gaia_checks.deploy.git.git_command.ROOT", origin.work)
    release = release_folder.from_tag(here.releases, Tag("dev", PHASE))
    return Ground(origin, tmp_path, commit, release)


def measure(folder: Path, name: str, value: object) -> None:
    """Write one measurement over a window that is long enough for anything."""
    seen = Measurement(name, value, "", 30, 1800.0, "2026-02-26T10:30:00.000Z", "seen")
    jsonl.append(folder / evidence.MEASUREMENTS, seen.to_json())


def test_a_signed_off_pass_is_promoted_once(ground: Ground) -> None:
    """The next tag is on the same commit and says why; a second time nothing is left to do."""
    folder = ground.gate()
    assert promote.sign_off(folder, "Ada Lovelace") == f"dev: {PHASE}, run {RUN}: signed off by Ada Lovelace"
    done = ground.promote()
    assert done == (
        f"deploy/qa/{PHASE} cut on {ground.commit[:12]} and pushed: gated in run {RUN}, signed off by Ada Lovelace"
    )
    assert ground.origin.tags()[f"deploy/qa/{PHASE}"] == ground.commit
    ground.origin.git("fetch", "--quiet", "--tags")
    message = ground.origin.git("tag", "--list", "--format=%(contents)", f"deploy/qa/{PHASE}")
    assert files.sha256(folder / "verdict.json") in message
    assert message.endswith("Signed off by: Ada Lovelace")
    assert ground.promote() == f"deploy/qa/{PHASE} is on {ground.commit[:12]} already"
    last = list(jsonl.read(paths.of(ground.dev).ledger))[-1]
    assert (last["environment"], last["step"], last["event"], last["commit"]) == ("qa", "promote", "cut", ground.commit)


def test_everything_that_is_missing_is_named_at_once(ground: Ground) -> None:
    """Neither gated nor merged: one message says both, and the commands."""
    ground.origin.git("push", "--quiet", "origin", ":refs/heads/qa")
    assert ground.refused() == (
        f"{PHASE} does not go to qa: branch qa does not contain {ground.commit[:12]}, so deploy/qa/{PHASE} is outside "
        f"of it: merge it first; no gate of deploy/dev/{PHASE} is recorded: run pytest --env=dev, then gaia sign-off"
    )


def test_without_a_sign_off_nothing_is_promoted(ground: Ground) -> None:
    """A passing gate alone is not enough; the message gives the command."""
    folder = ground.gate()
    assert ground.refused() == (
        f"{PHASE} does not go to qa: nobody has signed it off: gaia sign-off {folder.resolve()} --by NAME"
    )


def test_only_the_gate_of_the_tags_own_commit_is_recorded(ground: Ground) -> None:
    """The ledger takes no evidence of another commit or of the working tree; nobody signs off the latter."""
    folder = ground.gate(record=False)
    with pytest.raises(EvidenceError, match=rf"{PHASE} at {ground.commit[:12]} was gated, the tag is at 0{{12}}: "):
        promote.record_gate(ground.dev, PHASE, "0" * 40, folder)
    executable, migrations = ground.release / "gaia_server", ground.release / "migrations"
    built = release_folder.from_worktree(paths.of(ground.dev).releases, executable=executable, migrations=migrations)
    tree = replace(ground, release=built).gate(RUN.replace("3", "4"), record=False)
    with pytest.raises(EvidenceError, match=rf"worktree at \w+ was gated, the tag is at {ground.commit[:12]}: "):
        promote.record_gate(ground.dev, PHASE, ground.commit, tree)
    with pytest.raises(NotPromoted, match="nothing to sign off: the working tree was gated, which no tag names"):
        promote.sign_off(tree, "Ada")
    assert not paths.of(ground.dev).ledger.exists()


def test_a_rehearsal_promotes_nothing(ground: Ground) -> None:
    """It passes, it is whole, and it is refused: by the sign-off, and by the promotion."""
    folder = ground.gate(rehearsal=True)
    assert evidence.recompute(folder).state is State.PASS
    with pytest.raises(NotPromoted, match=f"nothing to sign off: run {RUN} is a rehearsal"):
        promote.sign_off(folder, "Ada")
    assert f"run {RUN} is a rehearsal" in ground.refused()


def test_a_later_gate_that_failed_is_not_hidden_by_an_older_sign_off(ground: Ground) -> None:
    """The newest evidence counts, whenever the older was signed off."""
    passed = ground.gate()
    ground.gate("20260227T100000Z-000000", failing="dev.health")
    promote.sign_off(passed, "Ada")
    why = ground.refused()
    assert "the verdict of run 20260227T100000Z-000000 is fail (dev.health)" in why
    assert "nobody has signed it off" in why


def edited(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    """Change the text of one file."""

    def edit(folder: Path) -> None:
        before = (folder / name).read_text()
        (folder / name).write_text(change(before))
        assert (folder / name).read_text() != before

    return edit


def verdict_with(**fields: object) -> Callable[[Path], None]:
    """Change fields of verdict.json, and whatever else says the same, as a forger would."""
    return _forging(lambda record: {**record, **fields})


def release_with(**fields: object) -> Callable[[Path], None]:
    """Change fields of the release likewise."""
    return _forging(lambda record: {**record, "release": {**record["release"], **fields}})


def _forging(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Path], None]:
    def forge_it(folder: Path) -> None:
        record = change(json.loads((folder / "verdict.json").read_text()))
        gated = {name: record[name] for name in ("environment", "run", "release")}
        (folder / "gated.json").write_text(json.dumps(gated))
        record["files"] = evidence.hashes(folder)
        (folder / "verdict.json").write_text(json.dumps(record))

    return forge_it


def resealed(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    """Change a file and put its new hash into verdict.json, as a forger would."""

    def forge_it(folder: Path) -> None:
        edited(name, change)(folder)
        record = json.loads((folder / "verdict.json").read_text())
        record["files"] = evidence.hashes(folder)
        (folder / "verdict.json").write_text(json.dumps(record))

    return forge_it


CHANGED = "changed after the evidence was sealed"
NOT_THAT = "not the one that the ledger points to"


@pytest.mark.parametrize(
    ("tamper", "why"),
    [
        (edited("measurements.jsonl", lambda text: text.replace("30,", "31,", 1)), CHANGED),
        (edited("criteria.toml", lambda text: text + "# \n"), CHANGED),
        (edited("environment.toml", lambda text: text + "# \n"), CHANGED),
        (lambda folder: (folder / "measurements.jsonl").unlink(), "missing since the evidence was sealed"),
        (lambda folder: (folder / "more.txt").write_text("x"), "added after the evidence was sealed"),
        (lambda folder: (folder / "verdict.json").unlink(), "cannot be read"),
        (edited("verdict.json", lambda text: text[:-20]), "not a verdict of this version"),
        (verdict_with(files=None), NOT_THAT),
        (verdict_with(state="fail"), NOT_THAT),
        (verdict_with(stage="prod"), NOT_THAT),
        (verdict_with(environment="qa"), NOT_THAT),
        (verdict_with(rehearsal=True), NOT_THAT),
        (verdict_with(run="20260226T100000Z-000000"), NOT_THAT),
        (verdict_with(release=None), NOT_THAT),
        (release_with(phase="phase-2"), NOT_THAT),
        (release_with(commit="0" * 40), NOT_THAT),
        (release_with(sha256="0" * 64), NOT_THAT),
        (release_with(migrations={}), NOT_THAT),
        (resealed("measurements.jsonl", lambda text: text + text), NOT_THAT),
        (resealed("criteria.toml", lambda text: text.replace("threshold = 6,", "threshold = 9,")), "other criteria"),
        (resealed("environment.toml", lambda text: f"{text}\n[looks.log]\nwindow_s = 1\n"), "is a rehearsal"),
    ],
)  # fmt: skip
def test_evidence_that_was_touched_is_refused(ground: Ground, tamper: Callable[[Path], object], why: str) -> None:
    """Every file and every field: what was signed off is what counts."""
    folder = ground.gate()
    promote.sign_off(folder, "Ada")
    tamper(folder)
    assert why in ground.refused()


@pytest.mark.parametrize(
    ("forged", "why"),
    [
        (release_with(phase="phase-2"), "phase-2 at"),
        (release_with(commit="0" * 40), f"{PHASE} at 000000000000 was gated, the tag is at"),
        (release_with(sha256="0" * 64), "executable 000000000000 with the migrations that were gated is none of the"),
        (release_with(migrations={"001_items": "0" * 64}), "with the migrations that were gated is none of the"),
        (release_with(migrations={}), "with the migrations that were gated is none of the"),
        (verdict_with(release=None), "does not say which release was gated"),
        (verdict_with(environment="qa"), "judged stage dev of qa, not dev of dev"),
        (verdict_with(state="fail"), "its files say pass, its verdict.json fail"),
    ],
)  # fmt: skip
def test_a_verdict_on_something_else_is_refused(ground: Ground, forged: Callable[[Path], None], why: str) -> None:
    """Also one that the ledger points to as it is: what was gated must be what the tag's commit was deployed as."""
    folder = ground.gate(record=False)
    forged(folder)
    digest = files.sha256(folder / "verdict.json")
    pointer = {"evidence": str(folder.resolve()), "verdict_sha256": digest, "commit": ground.commit}
    deployment_ledger.note(paths.of(ground.dev).ledger, "dev", PHASE, "gate", "pass", **pointer)
    assert why in ground.refused()


def test_a_release_that_was_touched_is_refused(ground: Ground) -> None:
    """The executable and the migrations that are kept are hashed again."""
    promote.sign_off(ground.gate(), "Ada")
    sql = ground.release / "migrations" / "001_items.sql"
    sql.chmod(0o644)
    sql.write_text("SELECT 1;")
    assert "its migrations are not those that were released" in ground.refused()
    (ground.release / "gaia_server").chmod(0o755)
    (ground.release / "gaia_server").write_text("#!/bin/sh\n")
    assert "gaia_server is not the one that was released" in ground.refused()


def test_a_tag_that_moved_after_its_gate_is_refused(ground: Ground) -> None:
    """The gate saw another commit."""
    promote.sign_off(ground.gate(), "Ada")
    moved = ground.origin.release("#!/bin/sh\nexit 1\n", "develop", "qa")
    ground.origin.tag(f"deploy/dev/{PHASE}", moved)
    assert f"{PHASE} at {ground.commit[:12]} was gated, the tag is at {moved[:12]}" in ground.refused()


def test_a_tag_outside_its_branch_is_refused(ground: Ground) -> None:
    """The old tag's branch and the new one's must both contain the commit."""
    promote.sign_off(ground.gate(), "Ada")
    ground.origin.git("checkout", "--quiet", "--orphan", "elsewhere")
    ground.origin.release("#!/bin/sh\nexit 1\n", "develop", "qa")
    why = ground.refused()
    assert f"branch develop does not contain {ground.commit[:12]}, so deploy/dev/{PHASE} is outside of it" in why
    assert f"branch qa does not contain {ground.commit[:12]}, so deploy/qa/{PHASE} is outside of it" in why


def test_a_next_tag_on_another_commit_is_not_moved(ground: Ground) -> None:
    """What is there already stays."""
    promote.sign_off(ground.gate(), "Ada")
    ground.origin.tag(f"deploy/qa/{PHASE}", ground.origin.release("#!/bin/sh\nexit 1\n", "qa"))
    assert f"deploy/qa/{PHASE} is on another commit" in ground.refused()


def test_what_makes_no_sense_is_said(ground: Ground) -> None:
    """A stage that nothing leads to, a phase without a tag, a remote that is away, a sign-off by nobody."""
    with pytest.raises(ConfigurationError, match="--to dev: not one of qa, prod"):
        ground.promote("dev")
    with pytest.raises(NotPromoted, match=f"there is no tag deploy/qa/{PHASE} on a commit; deploy and gate it first"):
        ground.promote("prod")
    with pytest.raises(ConfigurationError, match="give the name of a person"):
        promote.sign_off(ground.gate(), " ")
    ground.origin.away()
    with pytest.raises(RemoteAway, match=r"origin\.git"):
        ground.promote()


def test_what_was_changed_cannot_be_signed_off(ground: Ground) -> None:
    """Nor what did not pass."""
    folder = ground.gate()
    (folder / "more.txt").write_text("x")
    with pytest.raises(EvidenceError, match="added after the evidence was sealed"):
        promote.sign_off(folder, "Ada")
    failed = ground.gate("20260227T100000Z-000000", failing="dev.health")
    with pytest.raises(NotPromoted, match=r"nothing to sign off: the verdict of run \S+ is fail \(dev.health\)"):
        promote.sign_off(failed, "Ada")


def test_the_commands_say_what_they_did(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    """`gaia sign-off` and `gaia promote`, with the exit code of each end."""
    folder = ground.gate()
    words = ["promote", PHASE, "--to", "qa", "--remote", ground.origin.url]
    assert cli.run(words) == 1
    assert "nobody has signed it off" in capsys.readouterr().err
    assert cli.run(["sign-off", str(folder), "--by", "Ada"]) == 0
    assert cli.run(words) == 0
    assert f"deploy/qa/{PHASE} cut on" in capsys.readouterr().out
