"""From a signed verdict to a server in service, by the commands that people and machines run."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gaia_checks import files
from gaia_checks.deploy import rollout
from gaia_checks.deploy.git import git_remote
from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.judge import criteria_file
from gaia_checks.promotion import release_of_commit, signed, statement, statements_ref
from tests.deploy.conftest import stage
from tests.deploy.stage import Stage
from tests.promotion.ground import GATE
from tests.support import ssh_keys
from tests.support.forge import Forge, forge

__all__ = ["stage"]

PHASE = "phase-1"


@pytest.fixture
def qa(stage: Stage) -> Stage:
    """A qa environment beside a dev environment, in files of their own."""
    text = stage.file.read_text()
    (stage.folder / "dev.toml").write_text(text)
    qa_text = text.replace('stage = "dev"', 'stage = "qa"').replace(
        f'PORT = "{stage.environment.port}"', f'PORT = "{free_port()}"'
    )
    (stage.folder / "qa.toml").write_text(qa_text)
    stage.variables["GAIA_REPORTS"] = str(stage.folder / "reports")
    return replace(stage, file=stage.folder / "qa.toml")


def origin_of(qa: Stage) -> Forge:
    """A repository whose branches say that one gate and one person may sign."""
    origin = forge(qa.folder / "forge")
    (origin.work / "environments").mkdir()
    gate, ada = (ssh_keys.make(qa.folder / "keys", who) for who in ("gate", "ada"))
    (origin.work / "environments" / "allowed_signers").write_text(
        ssh_keys.line("gate@example.test", "gaia-verdict/dev@v1", gate)
        + ssh_keys.line("ada@example.test", "gaia-sign-off/qa/*@v1,git", ada)
    )
    return origin


def passed_in_dev(qa: Stage, origin: Forge, commit: str) -> None:
    """Record what the gate of another machine found."""
    remote = git_remote.of(qa.environment, origin.url)
    statements_ref.fetch(remote)
    predicate = {
        "environment": "dev", "stage": "dev", "run": "20260226T100000Z-3fa9c1", "state": "pass", "rehearsal": False,
        "criteria": {"sha256": files.sha256(criteria_file.PATH), "states": {}, "windows_s": {}}, "evidence": {},
        "gate": GATE, "ledger": None, "started_at": "2026-02-26T10:00:00Z", "at": datetime.now(UTC).isoformat(),
    }  # fmt: skip
    release = release_of_commit.read(remote, commit, PHASE, by_digest=False)
    content = statement.payload(statement.VERDICT, release, predicate)
    made = signed.make(content, "gaia-verdict/dev@v1", qa.folder / "keys" / "gate")
    statements_ref.append(remote, made, "verdict")


def test_a_promoted_release_is_deployed_and_another_is_not(qa: Stage) -> None:
    """Sign-off, promotion and deployment by command; then the tag is moved by hand, and what serves stays."""
    origin = origin_of(qa)
    commit = origin.fake("1")
    origin.tag(f"deploy/dev/{PHASE}")
    passed_in_dev(qa, origin, commit)
    ada = {"GAIA_SIGNING_KEY": str(qa.folder / "keys" / "ada")}
    remote, file = ("--remote", origin.url), str(qa.file)
    try:
        assert qa.gaia("promote", PHASE, "--to", file, *remote, **ada).returncode == 1
        for words in (("sign-off", file, PHASE, "--item", "maintainer"), ("promote", PHASE, "--to", file)):
            done = qa.gaia(*words, *remote, **ada)
            assert done.returncode == 0, done.stderr
        mirror = {"GAIA_GIT_DIR": str(git_remote.of(qa.environment, origin.url).mirror)}
        deployed = qa.gaia("deploy", file, PHASE, *remote, **mirror)
        assert deployed.returncode == 0, deployed.stderr
        assert qa.health()["version"] == "1"
        origin.git("fetch", "--quiet", "--tags")
        origin.tag(f"deploy/qa/{PHASE}", origin.fake("2"))
        refused = qa.gaia("deploy", file, PHASE, *remote, **mirror)
        assert refused.returncode == 1
        assert (
            f"deploy/qa/{PHASE} was not promoted: deploy/qa/{PHASE} is not signed; no signed verdict" in refused.stderr
        )
        assert qa.health()["version"] == "1"
        shown = json.loads(qa.gaia("status", file, "--json").stdout)
        assert (shown["promotion"], shown["release"]["commit"]) == ("required", commit)
    finally:
        rollout.stop(qa.environment)


def test_the_deployed_commit_is_the_verified_one(qa: Stage) -> None:
    """A clone whose tag is elsewhere than the remote's deploys nothing."""
    origin = origin_of(qa)
    commit = origin.fake("1")
    origin.tag(f"deploy/dev/{PHASE}")
    passed_in_dev(qa, origin, commit)
    ada = {"GAIA_SIGNING_KEY": str(qa.folder / "keys" / "ada")}
    remote, file = ("--remote", origin.url), str(qa.file)
    assert qa.gaia("sign-off", file, PHASE, "--item", "maintainer", *remote, **ada).returncode == 0
    assert qa.gaia("promote", PHASE, "--to", file, *remote, **ada).returncode == 0
    origin.fake("2", "elsewhere")
    origin.git("tag", "--force", "--annotate", "--message", "x", f"deploy/qa/{PHASE}")
    refused = qa.gaia("deploy", file, PHASE, *remote, GAIA_GIT_DIR=str(origin.work / ".git"))
    assert refused.returncode == 1
    assert f"here, on {commit[:12]} on the remote; git fetch --tags --force" in refused.stderr
    assert qa.status().state == "stopped"
