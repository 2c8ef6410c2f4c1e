"""A foreign server, without hand-over and database, is deployed by the same commands; artifacts by digest."""

import re
import subprocess
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from gaia_checks import files
from gaia_checks.deploy import rollout
from gaia_checks.deploy.release import release_folder
from gaia_checks.errors import ArtifactError
from tests.deploy import foreign_server
from tests.deploy.conftest import make_stage
from tests.deploy.stage import Stage, eventually, kill, lines

SERVER = '[server]\nhandover = false\npaths = ["/healthz"]\n'


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose tags contain a foreign server and no migration."""
    monkeypatch.setattr(release_folder, "ROOT", tmp_path)
    monkeypatch.setattr("gaia_checks.deploy.git.git_command.PROJECT", tmp_path)
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "order.txt").write_text("# none\n")
    (tmp_path / "build").mkdir()
    git(tmp_path, "init", "--quiet")
    return tmp_path


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A test environment without a database."""
    with make_stage("none", server=SERVER) as made:
        yield made


def git(folder: Path, *words: str) -> None:
    """Run git with a test identity."""
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(("git", *identity, *words), cwd=folder, check=True, capture_output=True)


def tag(repository: Path, stage: Stage, version: str, *, content: bool = True) -> Path:
    """Tag a version with the binary, or only its digest; return the binary."""
    executable = foreign_server.build(stage.folder, version)
    if content:
        (repository / "build" / "gaia_server").write_bytes(executable.read_bytes())
    else:
        (repository / "build" / "gaia_server.sha256").write_text(f"{files.sha256(executable)}  gaia_server\n")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", version)
    git(repository, "tag", "--force", f"deploy/stage/phase-{version}")
    return executable


def test_a_foreign_server_is_deployed_swapped_restarted_and_rolled_back(repository: Path, stage: Stage) -> None:
    """The commands work as usual; output and ledger give the outage of each stop-and-start."""
    tag(repository, stage, "1")
    tag(repository, stage, "2")
    log: list[str] = []
    rollout.deploy(stage.environment, phase="phase-1", log=log.append)
    assert stage.text("/healthz") == "version 1\n"
    status = rollout.deploy(stage.environment, phase="phase-2", log=log.append)
    assert stage.text("/healthz") == "version 2\n"
    assert status.tag_present
    assert re.search(r", after an outage of \d+ ms$", log[-1])
    assert status.process is not None
    kill(status.process.pid)
    eventually(lambda: stage.status().restarts == 1 and stage.status().state == "running")
    rollout.rollback(stage.environment)
    assert stage.text("/healthz") == "version 1\n"
    rollout.rollback(stage.environment, phase="phase-2")
    assert stage.text("/healthz") == "version 2\n"
    outages = [line["outage_ms"] for line in lines(stage) if "outage_ms" in line]
    assert outages[0] == 0
    assert all(outage > 0 for outage in outages[1:])
    git(repository, "tag", "--delete", "deploy/stage/phase-2")
    assert stage.status().tag_present is False


def test_a_tag_moved_during_a_deployment_does_not_change_it(repository: Path, stage: Stage) -> None:
    """The commit read first is deployed; the next deployment reads the moved tag."""
    first = tag(repository, stage, "1")

    def move(text: str) -> None:
        if "starting" in text:
            tag(repository, stage, "2")
            git(repository, "tag", "--force", "deploy/stage/phase-1")

    status = rollout.deploy(stage.environment, phase="phase-1", log=move)
    assert stage.text("/healthz") == "version 1\n"
    assert status.release is not None
    assert status.release.sha256 == files.sha256(first)
    rollout.deploy(stage.environment, phase="phase-1")
    assert stage.text("/healthz") == "version 2\n"


def test_the_same_files_under_another_tag_are_another_release(repository: Path, stage: Stage) -> None:
    """The status names the phase and commit deployed last, even with identical files."""
    tag(repository, stage, "1")
    first = rollout.deploy(stage.environment, phase="phase-1")
    (repository / "NOTES").write_text("no part of a release\n")
    tag(repository, stage, "1")
    moved = rollout.deploy(stage.environment, phase="phase-1")
    git(repository, "tag", "deploy/stage/phase-2")
    named = rollout.deploy(stage.environment, phase="phase-2")
    assert first.release is not None
    assert moved.release is not None
    assert named.release is not None
    assert first.release.sha256 == moved.release.sha256 == named.release.sha256
    assert first.release.commit != moved.release.commit == named.release.commit
    assert named.release.phase == "phase-2"
    assert named.previous == moved.release
    assert rollout.deploy(stage.environment, phase="phase-2").process == named.process


def test_a_binary_comes_from_the_configured_location_and_must_match_the_tag(repository: Path, stage: Stage) -> None:
    """A path and a URL work; a wrong digest and an unreachable location deploy nothing."""
    store = repository / "shelf"
    store.mkdir()
    handler = partial(Quiet, directory=str(store))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        for version, location in (("1", str(store)), ("2", f"http://127.0.0.1:{server.server_port}")):
            binary = tag(repository, stage, version, content=False)
            (store / files.sha256(binary)).write_bytes(binary.read_bytes())
            set_artifact(stage, f"{location}/{{sha256}}")
            rollout.deploy(stage.environment, phase=f"phase-{version}")
            assert stage.text("/healthz") == f"version {version}\n"
        binary = tag(repository, stage, "3", content=False)
        (store / files.sha256(binary)).write_bytes(b"something else")
        with pytest.raises(ArtifactError, match=r"its sha256 is \w+, but the tag names \w+; replace the file; "):
            rollout.deploy(stage.environment, phase="phase-3")
        server.shutdown()
    with pytest.raises(ArtifactError, match=r"http://127\.0\.0\.1:\d+/\w+: .*refused; phase-2-\w+ serves$"):
        rollout.deploy(stage.environment, phase="phase-3")
    assert stage.text("/healthz") == "version 2\n"


def set_artifact(stage: Stage, template: str) -> None:
    """Set the location of the artifacts in the environment file."""
    text = stage.file.read_text().partition("artifact = ")[0]
    stage.file.write_text(f'{text}artifact = "{template}"\n')


class Quiet(SimpleHTTPRequestHandler):
    """Serve a folder without logging."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""
