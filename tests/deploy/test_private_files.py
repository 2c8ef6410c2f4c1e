"""What a deployment and a gate write is private, or at least nobody else's to write, whatever the umask."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaia_checks.deploy.postgres import embedded
from gaia_checks.deploy.state import paths
from tests.deploy.conftest import make_stage
from tests.deploy.stage import Stage

UMASKS = pytest.mark.parametrize("umask", [0o000, 0o077], ids=oct)


def run(stage: Stage, umask: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the project in a shell of that umask."""
    return subprocess.run(
        (sys.executable, "-m", *command),
        env={**os.environ, **stage.variables}, umask=umask, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def below(*folders: Path) -> Iterator[tuple[Path, int]]:
    """Yield every file and folder with its mode; links have none."""
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            if not path.is_symlink():
                yield path, stat.S_IMODE(path.lstat().st_mode)


@UMASKS
@pytest.mark.usefixtures("executable")
def test_a_deployment_writes_nothing_that_others_may_read(embedded_stage: Stage, umask: int) -> None:
    """State, sockets, journals, ledger, releases, logs and PostgreSQL's data, which root leaves a way to."""
    stage = embedded_stage
    done = run(stage, umask, "gaia_checks.cli", "deploy", str(stage.file))
    assert done.returncode == 0, done.stderr
    cluster, environment = embedded.of(stage.environment), stage.environment
    assert cluster is not None
    on_the_way = {environment.home, paths.of(environment).state} if os.geteuid() == 0 else set()
    found = dict(below(environment.home, environment.log_dir, cluster.folder))
    unpacked = {path for path in found if path.is_relative_to(paths.of(environment).caches)}
    beside = found.keys() - on_the_way - unpacked
    assert {path: oct(found[path]) for path in beside if found[path] & 0o077} == {}
    assert {found[path] for path in on_the_way} <= {0o711}
    assert found[paths.of(environment).caches] == 0o700  # the executable's own modes stand behind it
    assert {path for path in unpacked if found[path] & 0o022} == set()
    assert {path.name for path in found} >= {
        "control.sock", "deployments.log", "journals", "state.json", "deploy.lock", "server.log", "supervisor.log",
        "gaia_server", "release.json", "cache", "PG_VERSION", ".s.PGSQL.5432",
    }  # fmt: skip


@UMASKS
def test_what_was_open_to_others_is_closed_by_the_next_command(stage: Stage, umask: int) -> None:
    """Folders that an earlier version left open are closed, whatever the umask, also by a deployment in a gate."""
    here = paths.of(stage.environment)
    for folder in (here.state, here.releases, here.logs):
        folder.mkdir(parents=True)
        folder.chmod(0o777)
    before = os.umask(umask)
    try:
        stage.deploy()
    finally:
        os.umask(before)
    assert {mode & 0o077 for folder in (here.state, here.releases, here.logs) for _, mode in below(folder)} == {0}
    assert stat.S_IMODE(here.ledger.stat().st_mode) == 0o600


def test_evidence_is_nobody_elses_to_write(tmp_path: Path) -> None:
    """A gate under umask 000; where its server is down, it leaves the same files."""
    with make_stage("none", GAIA_REPORTS=str(tmp_path / "reports")) as stage:
        done = run(stage, 0o000, "pytest", f"--env={stage.file}")
        assert done.returncode == 8, done.stdout + done.stderr
    found = dict(below(tmp_path / "reports"))
    assert {path: oct(mode) for path, mode in found.items() if mode & 0o022} == {}
    assert {path.name for path in found} >= {"verdict.json", "measurements.jsonl", "report.html", "timelines"}
