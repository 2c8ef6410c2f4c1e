"""Following tags: a real repository, real deployments, real gates; killed, told to end, and with the remote away."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from gaia_checks import jsonl
from gaia_checks.deploy.state import paths
from gaia_checks.gate.run import gated_target
from gaia_checks.promotion.statements import dsse, ssh_signature, statement
from tests.deploy.conftest import embedded_stage, stage
from tests.deploy.stage import Stage, eventually, kill
from tests.support import ssh_keys
from tests.support.forge import Forge, forge
from tests.support.ground import LOOKS, ROOT

__all__ = ["embedded_stage", "stage"]

GATE_S = 120  # the longest that anything here may take on a busy machine; most of it takes a second


@pytest.fixture
def origin(stage: Stage) -> Forge:
    """A repository with one release, and an environment whose gates are short."""
    stage.variables["GAIA_REPORTS"] = str(stage.folder / "reports")
    stage.file.write_text(stage.file.read_text() + LOOKS)
    made = forge(stage.folder / "forge")
    made.fake("1")
    return made


class Watching:
    """A running `gaia watch` and what it says."""

    def __init__(self, stage: Stage, origin: Forge, log: Path) -> None:
        self._log = log
        with log.open("a") as output:
            self.process = subprocess.Popen(
                (sys.executable, "-m", "gaia_checks.cli", "watch",
                 "--env", str(stage.file), "--remote", origin.url, "--every", "0.2"),
                env={**os.environ, **stage.variables}, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def says(self, text: str, times: int = 1) -> None:
        """Return as soon as it has said so."""

        def said() -> bool:
            assert self.process.poll() is None or text in self.said, self.said
            return self.said.count(text) >= times

        try:
            eventually(said, GATE_S)
        except AssertionError as error:
            raise AssertionError(f"it never said {text!r}, but:\n{self.said}") from error

    @property
    def said(self) -> str:
        """Everything so far."""
        return self._log.read_text()

    def end(self) -> int:
        """Ask it to end and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(GATE_S)


@contextmanager
def watching(stage: Stage, origin: Forge) -> Iterator[Watching]:
    """Watch for as long as the block runs; what it said before is kept."""
    made = Watching(stage, origin, stage.folder / "watch.log")
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.end()


def ledger(stage: Stage, *steps: str) -> list[dict[str, Any]]:
    """The ledger's records of these steps."""
    return [one for one in jsonl.read(paths.of(stage.environment).ledger) if one["step"] in steps]


def events(stage: Stage, *steps: str) -> list[tuple[str | None, str]]:
    """The same as (phase, event)."""
    return [(one["phase"], one["event"]) for one in ledger(stage, *steps)]


def test_a_tag_is_deployed_gated_and_recorded_and_its_end_is_noticed(stage: Stage, origin: Forge) -> None:
    """From the tag to the evidence in the ledger; a reboot is survived; of a deleted tag the server stays."""
    commit = origin.fake("1", "main")
    origin.tag("deploy/stage/phase-1")
    with watching(stage, origin) as watch:
        watch.says("phase-1: gated: ")
        assert stage.health()["version"] == "1"
        assert stage.status().tag_present is True
        assert watch.end() == 0
    gated = ledger(stage, "gate")
    stage.kill_supervisor()
    server = stage.status().process
    assert server is not None
    kill(server.pid)
    eventually(lambda: stage.status().process is None)  # as after a reboot
    with watching(stage, origin) as again:
        again.says("phase-1: its server is gone; bringing it back")
        again.says("phase-1: is back: it serves at ")
    assert stage.health()["version"] == "1"
    origin.untag("deploy/stage/phase-1")
    with watching(stage, origin) as last:
        last.says("deploy/stage/phase-1: deleted")
    assert stage.health()["version"] == "1"
    assert json.loads(stage.gaia("status", str(stage.file), "--json").stdout)["tag_present"] is False
    assert [(one["event"], one["commit"]) for one in ledger(stage, "tag")] == [
        ("new", commit),
        ("warning", commit),
        ("deleted", commit),
    ]
    assert ledger(stage, "tag")[1]["why"].startswith(f"branch develop does not contain {commit[:12]}")
    assert [(one["phase"], one["event"]) for one in gated] == [("phase-1", "fail")]  # it is no gaia_server
    verdict = Path(gated[0]["evidence"]) / "verdict.json"
    assert json.loads(verdict.read_text())["release"]["commit"] == commit
    assert gated[0]["verdict_sha256"] == hashlib.sha256(verdict.read_bytes()).hexdigest()


def test_with_an_embedded_database_the_tag_is_gated_and_not_the_working_tree(
    embedded_stage: Stage, executable: Path
) -> None:
    """The pipeline on a laptop: the gate leaves the tag's release alone, and the ledger names its commit."""
    stage = embedded_stage
    stage.variables["GAIA_REPORTS"] = str(stage.folder / "reports")
    stage.file.write_text(stage.file.read_text() + LOOKS)
    origin = forge(stage.folder / "forge")
    commit = origin.real(executable, ROOT / "migrations")
    origin.tag("deploy/stage/phase-1")
    with watching(stage, origin) as watch:
        watch.says("phase-1: gating")
        before = stage.status()
        watch.says("phase-1: gated: ")
    assert (stage.status().process, stage.status().release) == (before.process, before.release)
    [gated] = ledger(stage, "gate")
    assert gated["commit"] == commit
    verdict = json.loads((Path(gated["evidence"]) / "verdict.json").read_text())
    assert (verdict["release"]["phase"], verdict["release"]["commit"]) == ("phase-1", commit)
    assert {one["phase"] for one in ledger(stage, "deployment")} == {"phase-1"}
    assert stage.gaia("stop", str(stage.file)).returncode == 0
    assert not gated_target.deployed_by_gate(
        stage.environment
    )  # nor does it put the working tree where a tag served last


def test_after_a_reboot_what_ran_is_back_and_not_what_its_tag_asks_for(stage: Stage, origin: Forge) -> None:
    """The tag has moved on, but somebody went back since; also a supervisor that was told to end leaves a record."""
    origin.tag("deploy/stage/phase-1")
    with watching(stage, origin) as watch:
        watch.says("phase-1: gated: ")
        origin.tag("deploy/stage/phase-1", origin.fake("2"))
        watch.says("phase-1: gated: ", times=2)
        assert stage.health()["version"] == "2"
    rolled = stage.gaia("rollback", str(stage.file))
    assert rolled.returncode == 0, rolled.stderr
    before, supervisor = stage.status().release, stage.supervisor()
    supervisor.terminate()
    supervisor.wait(GATE_S)
    with watching(stage, origin) as again:
        again.says("phase-1: is back: it serves at ")
    assert stage.health()["version"] == "1"
    assert stage.status().release == before
    assert events(stage, "watch") == [("phase-1", "deployed")] * 2


def test_a_release_that_cannot_be_brought_back_is_said_once_and_holds_up_no_tag(stage: Stage, origin: Forge) -> None:
    """What ran is damaged: the failure is recorded, and the next tag is deployed."""
    origin.tag("deploy/stage/phase-1")
    with watching(stage, origin) as watch:
        watch.says("phase-1: gated: ")
    release, supervisor = stage.status().release_dir, stage.supervisor()
    assert release is not None
    supervisor.terminate()
    supervisor.wait(GATE_S)
    (release / "gaia_server").chmod(0o755)
    (release / "gaia_server").write_bytes(b"")
    origin.tag("deploy/stage/phase-2", origin.fake("2"))
    with watching(stage, origin) as again:
        again.says("phase-1: cannot be brought back: ")
        again.says("phase-2: gating")
        assert again.said.count("cannot be brought back") == 1
    assert stage.health()["version"] == "2"
    assert events(stage, "watch") == [("phase-1", "deployed"), ("phase-1", "failed"), ("phase-2", "deployed")]


def test_what_a_killed_watch_began_is_finished_by_the_next(stage: Stage, origin: Forge) -> None:
    """Watch killed, then its deployment: the next watch waits, and deploys. A gate that cannot begin is no pass."""
    go = stage.folder / "go"
    stage.variables["GAIA_REPORTS"] = str(stage.file / "below a file")
    origin.fake("1", behaviour=f"wait {go}")
    origin.tag("deploy/stage/phase-1")
    with watching(stage, origin) as watch:
        eventually(lambda: ("phase-1", "started") in events(stage, "deploy"), GATE_S)
        kill(watch.process.pid)
        watch.process.wait()
    with watching(stage, origin) as again:
        again.says("phase-1: trying again: busy: deploy phase-1 by ")  # the deployment outlived its watch
        for process in deployments(stage):
            with contextlib.suppress(ProcessLookupError):  # one that has just ended, because another is at it
                kill(process.pid)
        eventually(lambda: deployments(stage), GATE_S)  # called again
        go.touch()
        again.says("phase-1: gated: inconclusive; the gate left no evidence (exit code 4)")
        assert stage.health()["version"] == "1"
    assert events(stage, "watch") == [("phase-1", "deployed")]
    assert events(stage, "gate") == [("phase-1", "inconclusive")]
    assert [event for _, event in events(stage, "tag")] == ["new"]


def test_requests_are_done_one_after_another_while_others_wait_their_turn(stage: Stage, origin: Forge) -> None:
    """A release that fails is recorded and does not hold up the next; a second watch of the same is refused."""
    paths.of(stage.environment).ledger.mkdir(parents=True)
    origin.fake("1", behaviour="crash")
    origin.tag("deploy/stage/phase-1")
    with watching(stage, origin) as watch:
        watch.says("deployments.log: Is a directory; free some disk space")  # as good as a full disk
        paths.of(stage.environment).ledger.rmdir()
        watch.says("phase-1: new")
        origin.fake("2")
        origin.tag("deploy/stage/phase-2")
        second = stage.gaia("watch", "--env", str(stage.file), "--remote", origin.url)
        assert (second.returncode, second.stdout) == (4, "")
        assert second.stderr.startswith("gaia: stage: busy: watch by ")
        watch.says("phase-2: deploying")
        watch.says("phase-2: gating")
        assert watch.end() == 0
    assert events(stage, "watch") == [("phase-1", "failed"), ("phase-2", "deployed")]
    assert "the configuration is not to my liking" in ledger(stage, "watch")[0]["why"]
    assert events(stage, "gate") == []  # interrupted
    found = [(one["phase"], one["event"]) for one in ledger(stage, "deployment")]
    assert found == [("phase-1", "started"), ("phase-1", "failed"), ("phase-2", "started"), ("phase-2", "finished")]
    assert not gates(stage)


def test_tags_are_followed_by_name_and_commit_also_when_the_remote_was_away(stage: Stage, origin: Forge) -> None:
    """New, moved and deleted; nothing is deleted because nobody answers; what nobody can follow is named, once."""
    first = origin.fake("1", behaviour="crash")
    origin.tag("deploy/stage/phase-1")
    origin.tag("deploy/nowhere/phase-1")
    origin.tag("deploy/stage/a/b")
    origin.tag("deploy/stage/worktree")
    origin.tag("deploy/qa/phase-1")
    with watching(stage, origin) as watch:
        eventually(lambda: events(stage, "watch") == [("phase-1", "failed")], GATE_S)
    origin.away()
    with watching(stage, origin) as again:
        again.says("remote unreachable, retrying: ")
        origin.back()
        again.says("remote reachable again")
        second = origin.fake("2", behaviour="crash")
        origin.tag("deploy/stage/phase-1", second)
        eventually(lambda: events(stage, "watch") == [("phase-1", "failed")] * 2, GATE_S)
        origin.untag("deploy/stage/phase-1")
        again.says("deploy/stage/phase-1: deleted")
        assert again.said.count("remote unreachable") == 1
    assert not watch.process.returncode
    refused = sorted(one["why"] for one in ledger(stage, "tag") if one["event"] == "refused")
    assert [why.split(";")[0] for why in refused] == [
        "'deploy/stage/a/b' is not a deployment tag",
        "'deploy/stage/worktree' is not a deployment tag: worktree means the untagged working tree",
        "deploy/nowhere/phase-1: no such environment",
    ]
    assert [(one["event"], one["commit"]) for one in ledger(stage, "tag") if one["event"] != "refused"] == [
        ("new", first),
        ("moved", second),
        ("deleted", second),
    ]


def deployments(stage: Stage) -> list[psutil.Process]:
    """Every running `gaia deploy` of this stage."""
    return [one for one in stage.processes() if "deploy" in words(one)]


def gates(stage: Stage) -> list[psutil.Process]:
    """Every running gate of this stage."""
    return [one for one in stage.processes() if "pytest" in words(one)]


def words(process: psutil.Process) -> list[str]:
    """Its command line; nothing of one that has just ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def test_a_gate_signs_what_it_found_and_a_forged_promotion_is_refused_once(stage: Stage, origin: Forge) -> None:
    """The statement is on the remote; after dev, a tag that nobody promoted changes nothing that serves."""
    key = ssh_keys.make(stage.folder / "keys", "gate")
    stage.variables["GAIA_SIGNING_KEY"] = str(key)
    origin.tag("deploy/stage/phase-1")
    with watching(stage, origin) as watch:
        watch.says("recorded as number 1")
    content = origin.git_in("show", "refs/gaia/statements:statement.json")
    found = dsse.parse(content, "statement.json")
    about = statement.parse(found)
    allowed = ssh_keys.line("gate@example.test", "gaia-verdict/stage@v1", key)
    assert ssh_signature.signer(found.signed, found.signatures[0], about.namespace, allowed) == "gate@example.test"
    assert about.release == stage.status().release
    assert (about.predicate["state"], about.predicate["rehearsal"]) == ("fail", True)
    assert about.predicate["gate"]["foreign_plugins"] == []
    stage.file.write_text(stage.file.read_text().replace('stage = "dev"', 'stage = "qa"'))
    origin.tag("deploy/stage/phase-2", origin.fake("2"))
    with watching(stage, origin) as again:
        again.says("phase-2: deploy/stage/phase-2 was not promoted: deploy/stage/phase-2 is not signed; ")
        origin.tag("deploy/stage/phase-3", origin.fake("3"))
        again.says("phase-3: deploy/stage/phase-3 was not promoted: ")
        assert again.said.count("deploy/stage/phase-2 was not promoted") == 1
    assert stage.health()["version"] == "1"
    assert events(stage, "watch") == [("phase-1", "deployed"), ("phase-2", "failed"), ("phase-3", "failed")]
    assert json.loads(stage.gaia("status", str(stage.file), "--json").stdout)["promotion"] == "required"
    stage.file.write_text(stage.file.read_text().replace('stage = "qa"', 'stage = "qa"\npromotion = "advisory"'))
    advisory = stage.gaia("deploy", str(stage.file), "phase-3", "--remote", origin.url, GAIA_GIT_DIR=str(origin.bare))
    assert advisory.returncode == 0, advisory.stderr
    assert "stage: advisory: deploy/stage/phase-3 is not signed" in advisory.stdout
    assert stage.health()["version"] == "3"
