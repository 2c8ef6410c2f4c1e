"""`gaia verdict verify`: what is proven, by whom, and what is not; also without evidence, and offline."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gaia_checks import cli
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import ConfigurationError, RemoteUnreachable
from gaia_checks.promotion import ledger_diagnosis, verification
from tests.promotion.ground import PHASE, Ground

LATER = "20260227T100000Z-000000"


def elsewhere(ground: Ground, folder: Path) -> None:
    """A machine that shares nothing but the remote."""
    for name in ("GAIA_HOME", "GAIA_LOG_DIR", "GAIA_REPORTS"):
        ground.monkeypatch.setenv(name, str(folder / "elsewhere" / name))


def lines(ground: Ground, what: object) -> dict[str, tuple[str, bool | None]]:
    """What is shown."""
    return {line.what: (line.found, line.ok) for line in verification.verify(str(what), ground.origin.url)}


def test_a_machine_without_evidence_relies_on_the_signatures(ground: Ground, tmp_path: Path) -> None:
    """A fresh machine with git and ssh-keygen: what it proves about a promoted tag."""
    ground.promoted_to_qa()
    elsewhere(ground, tmp_path)
    shown = lines(ground, f"deploy/dev/{PHASE}")
    assert shown["signed by"] == ("gate-dev@example.test, who may according to branch qa", True)
    assert shown["recorded"] == ("statement 1 of the chain", True)
    assert shown["release"][0].endswith("1 migrations: as committed")
    assert shown["verdict"] == ("pass, stage dev, run 20260226T100000Z-3fa9c1, 7 of 7 criteria", True)
    assert shown["revoked"] == ("no: it is the newest about this release", True)
    assert shown["evidence"][0].endswith("files, not at hand: relied on the signature")
    promoted = lines(ground, f"deploy/qa/{PHASE}")
    assert promoted["tag signed by"] == ("ada@example.test", True)
    assert promoted["let in by"] == (
        "dev's gate: pass, run 20260226T100000Z-3fa9c1, signed by gate-dev@example.test", True,
    )  # fmt: skip
    assert promoted["verdict"] == ("no verdict of qa itself on this commit is recorded", None)
    assert promoted["signed off"][0].startswith("maintainer by ada@example.test, ")


def test_the_evidence_is_judged_again_where_it_is(ground: Ground) -> None:
    """A folder, and its statement alone; after a change the file is named."""
    folder = ground.gate()
    for what in (folder, folder / "statement.json"):
        found, ok = lines(ground, what)["evidence"]
        assert ok
        assert found.endswith("files, all as stated; judged again: the same verdict")
    (folder / "measurements.jsonl").write_text("")
    found, ok = lines(ground, folder)["evidence"]
    assert ok is False
    assert found.endswith("measurements.jsonl was changed since the statement was signed: run the gate again")


def test_what_does_not_hold_is_marked(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    """Revoked, signed by an unknown key, and a tag that nobody signed: exit code 1."""
    folder = ground.gate()
    ground.gate(LATER, failing="dev.health")
    assert lines(ground, folder)["revoked"] == (f"run {LATER} was recorded later: fail", False)
    foreign = ground.evidence("20260228T100000Z-000000")
    ground.statement("eve", foreign)
    (foreign / "statement.json").write_text(ground.origin.git_in("show", "refs/gaia/statements:statement.json"))
    assert lines(ground, foreign)["signed by"] == ("nobody who may: its key is not in allowed_signers", False)
    ground.origin.tag(f"deploy/qa/{PHASE}")
    assert lines(ground, f"deploy/qa/{PHASE}")["tag signed by"] == (f"deploy/qa/{PHASE} is not signed", False)
    assert cli.run(["verdict", "verify", str(foreign), "--remote", ground.origin.url]) == 1
    assert "✗ signed by     nobody who may: its key is not in allowed_signers" in capsys.readouterr().out


def test_offline_it_goes_by_what_was_fetched_last(ground: Ground) -> None:
    """And says so."""
    folder = ground.gate()
    ground.fetched()
    ground.origin.away()
    shown = lines(ground, folder)
    assert shown["remote"][0].startswith("not reached, as last fetched: ")
    assert shown["signed by"][1] is True


def test_a_remote_that_was_never_reached_proves_nothing(ground: Ground) -> None:
    """No line stands for what was never fetched, also the second time; neither does a file that is not there."""
    for _ in range(2):
        with pytest.raises(RemoteUnreachable, match="does not appear to be a git repository"):
            verification.verify(f"deploy/dev/{PHASE}", str(ground.folder / "nowhere"))
    with pytest.raises(ConfigurationError, match=r"statement\.json: no such file or folder; a tag is named deploy/ENV"):
        verification.verify("statement.json", ground.origin.url)


def test_a_fresh_clone_needs_git_and_ssh_keygen_alone(ground: Ground, tmp_path: Path) -> None:
    """No evidence, no other program, an empty home: one screen says what is proven, and what was relied on."""
    ground.promoted_to_qa()
    tools, home, clone = tmp_path / "tools", tmp_path / "fresh home", tmp_path / "clone"
    subprocess.run(("git", "clone", "--quiet", str(ROOT), str(clone)), check=True)
    for folder in (tools, home):
        folder.mkdir()
    for name in ("git", "ssh-keygen"):
        (tools / name).symlink_to(str(shutil.which(name)))
    done = subprocess.run(
        (sys.executable, "-m", "gaia_checks.cli", "verdict", "verify", f"deploy/dev/{PHASE}", "--remote",
         ground.origin.url),
        cwd=clone, env={"PATH": str(tools), "HOME": str(home)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split("  ")[0] for line in done.stdout.splitlines()] == [
        *("· remote", "· tag", "· statement", "✓ signed by", "✓ recorded", "✓ release", "✓ verdict", "✓ revoked"),
        *("✓ measured by", "· evidence"),
    ]
    assert "files, not at hand: relied on the signature" in done.stdout


def test_a_ledger_without_a_line_is_named(ground: Ground) -> None:
    """Where the ledger is."""
    from gaia_checks.deploy.state import deployment_ledger, paths

    dev = ground.environment("dev")
    for number in range(2):
        deployment_ledger.note(dev, "dev", PHASE, "gate", "fail", why=str(number))
    folder = ground.gate()
    assert ledger_diagnosis.examine_ledger(dev).state == "ok"
    path = paths.of(dev).ledger
    path.write_text(path.read_text().splitlines(keepends=True)[1])
    assert lines(ground, folder)["ledger"] == (
        f"{path}:1: edited, or a line before it was removed, added or moved",
        False,
    )
    assert ledger_diagnosis.examine_ledger(dev).state == "wrong"
