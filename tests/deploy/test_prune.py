"""Old releases go; what runs, and what a rollback returns to, stays."""

import os
from pathlib import Path

import pytest

from gaia_checks.deploy.prune import prune
from gaia_checks.deploy.state import lock, paths
from gaia_checks.errors import Busy
from tests.deploy.stage import Stage


def releases(stage: Stage) -> Path:
    """Where they are kept."""
    return paths.of(stage.environment).releases


def add(stage: Stage, name: str, age_s: int) -> None:
    """Make a release that nobody uses, closed for writing as releases are."""
    folder = releases(stage) / name
    (folder / "migrations").mkdir(parents=True)
    described = folder / "release.json"
    described.write_text("{}")
    made = described.stat().st_mtime - age_s
    os.utime(described, (made, made))
    (folder / "migrations").chmod(0o555)
    folder.chmod(0o555)


def test_the_newest_are_kept_and_so_are_current_and_previous(stage: Stage) -> None:
    """However old current and previous are; what a killed command left goes too."""
    paths.prepare(paths.of(stage.environment))
    stage.deploy("1")
    stage.deploy("2")
    used = {path.name for path in releases(stage).iterdir()}
    for age_s, name in enumerate(("d", "c", "b", "a"), start=1):
        add(stage, name, age_s=-age_s)  # newer than what runs
    (releases(stage) / ".new-half").mkdir()
    assert prune(stage.environment, 2) == ("c", "d")
    assert {path.name for path in releases(stage).iterdir()} == {*used, "a", "b"}
    assert prune(stage.environment, 2) == ()
    done = stage.gaia("prune", str(stage.file), "--keep", "0")
    assert (done.returncode, done.stdout) == (0, "stage: removed: a, b\n")
    assert {path.name for path in releases(stage).iterdir()} == used
    assert stage.health()["version"] == "2"
    assert stage.deploy("1").release is not None


def test_nothing_is_removed_under_a_deployment(stage: Stage) -> None:
    """Whoever changes the environment is named."""
    paths.prepare(paths.of(stage.environment))
    add(stage, "a", age_s=1)
    held = paths.of(stage.environment).deploy_lock
    with (
        lock.hold(held, environment="stage", why="deploy phase-9", since=""),
        pytest.raises(Busy, match="stage: busy: deploy phase-9"),
    ):
        prune(stage.environment, 0)
    assert (releases(stage) / "a").exists()
    assert prune(stage.environment, 0) == ("a",)
