"""Pruning removes old releases, but not the running one or the rollback target."""

import os
from pathlib import Path

import pytest

from gaia_checks.deploy.prune import prune
from gaia_checks.deploy.state import lock, paths
from gaia_checks.errors import Busy
from tests.deploy.stage import Stage


def releases(stage: Stage) -> Path:
    """The folder of all releases."""
    return paths.of(stage.environment).releases


def add(stage: Stage, name: str, age_s: int) -> None:
    """Make an unused read-only release."""
    folder = releases(stage) / name
    (folder / "migrations").mkdir(parents=True)
    description = folder / "release.json"
    description.write_text("{}")
    mtime = description.stat().st_mtime - age_s
    os.utime(description, (mtime, mtime))
    (folder / "migrations").chmod(0o555)
    folder.chmod(0o555)


def test_the_newest_the_current_and_the_previous_release_are_retained(stage: Stage) -> None:
    """Current and previous stay at any age; partial releases of killed commands are removed."""
    paths.prepare(paths.of(stage.environment))
    stage.deploy("1")
    stage.deploy("2")
    used = {path.name for path in releases(stage).iterdir()}
    for age_s, name in enumerate(("d", "c", "b", "a"), start=1):
        add(stage, name, age_s=-age_s)  # newer than the running release
    (releases(stage) / ".new-partial").mkdir()
    assert prune(stage.environment, 2) == ("c", "d")
    assert {path.name for path in releases(stage).iterdir()} == {*used, "a", "b"}
    assert prune(stage.environment, 2) == ()
    done = stage.gaia("prune", str(stage.file), "--keep", "0")
    assert (done.returncode, done.stdout) == (0, "stage: removed: a, b\n")
    assert {path.name for path in releases(stage).iterdir()} == used
    assert stage.health()["version"] == "2"
    assert stage.deploy("1").release is not None


def test_nothing_is_removed_during_a_deployment(stage: Stage) -> None:
    """The Busy error names the running command."""
    paths.prepare(paths.of(stage.environment))
    add(stage, "a", age_s=1)
    path = paths.of(stage.environment).deploy_lock
    with (
        lock.hold(path, environment="stage", why="deploy phase-9", since=""),
        pytest.raises(Busy, match="stage: busy: deploy phase-9"),
    ):
        prune(stage.environment, 0)
    assert (releases(stage) / "a").exists()
    assert prune(stage.environment, 0) == ("a",)
