"""State behind symbolic links: a deployment works, or is refused before anything is changed; nothing is hit outside."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gaia_checks.deploy import rollout
from gaia_checks.deploy.prune import prune
from gaia_checks.deploy.release import release_folder
from gaia_checks.deploy.state import deployment_ledger, paths
from gaia_checks.deploy.state.paths import Paths
from gaia_checks.errors import NotWritable
from tests.deploy.conftest import make_stage
from tests.deploy.stage import Stage

NOBODY = 65534

LINKS: dict[str, Callable[[Paths], Path]] = {
    "the state folder": lambda here: here.state,
    "the release store": lambda here: here.releases,
    "the lock": lambda here: here.deploy_lock,
    "the supervisor's lock": lambda here: here.supervise_lock,
    "the open journal": lambda here: here.journal,
    "the old journals": lambda here: here.journals,
    "the dumps": lambda here: here.dumps,
    "the caches": lambda here: here.caches,
    "the logs": lambda here: here.logs,
    "the ledger": lambda here: here.ledger,
    "the server's log": lambda here: here.server_log,
    "the candidate's log": lambda here: here.candidate_log,
    "the supervisor's log": lambda here: here.supervisor_log,
}


@pytest.fixture
def without_database() -> Iterator[Stage]:
    """An environment where nothing is deployed."""
    with make_stage("none") as made:
        yield made


def targets(outside: Path, link: Path) -> dict[str, Path]:
    """What a link may lead to: a folder, a file, another account's file, nothing, itself."""
    (outside / "folder").mkdir(parents=True)
    (outside / "folder" / "kept").write_text("kept")
    for name in ("file", "foreign"):
        (outside / name).write_text(f"{name}, without a line feed at its end")
    if os.geteuid() == 0:
        os.chown(outside / "foreign", NOBODY, NOBODY)
    return {name: outside / name for name in ("folder", "file", "foreign", "dangling")} | {"loop": link}


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything below a folder, with mode, owner and content."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        is_file = path.is_file() and not path.is_symlink()
        found[str(path)] = (path.lstat().st_mode, path.lstat().st_uid, path.read_bytes() if is_file else b"")
    return found


@pytest.mark.parametrize("place", LINKS)
def test_a_link_is_refused_before_anything_is_changed(without_database: Stage, tmp_path: Path, place: str) -> None:
    """Whatever it leads to: in one line that names it, and neither there nor here a byte is written."""
    stage, executable = without_database, without_database.executable()
    link = LINKS[place](paths.of(stage.environment))
    paths.create(link.parent)
    for target in targets(tmp_path / "outside", link).values():
        link.symlink_to(target)
        before = tree(tmp_path), tree(stage.folder)
        try:
            with pytest.raises(
                NotWritable, match=rf"^{link}: is a symbolic link, [^\n]*set GAIA_\w+ to another folder"
            ):
                rollout.deploy(stage.environment, artifact=executable, migrations=stage.migrations)
            assert (tree(tmp_path), tree(stage.folder)) == before
        finally:
            link.unlink()


def test_the_command_names_the_link_in_one_line(without_database: Stage, tmp_path: Path) -> None:
    """No traceback, and the exit code of what is fixed by hand."""
    link = paths.of(without_database.environment).deploy_lock
    paths.create(link.parent)
    link.symlink_to(tmp_path / "dangling")
    try:
        done = without_database.gaia("stop", str(without_database.file))
    finally:
        link.unlink()
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert done.stderr.startswith(f"gaia: {link}: is a symbolic link, ")
    assert not (tmp_path / "dangling").exists()


def test_no_record_outside_a_deployment_is_written_through_a_link(without_database: Stage, tmp_path: Path) -> None:
    """A gate, a watch and a promotion write to the ledger without deploying."""
    environment = without_database.environment
    ledger = paths.of(environment).ledger
    paths.create(ledger.parent)
    outside = tmp_path / "outside"
    outside.write_text("half a line")
    ledger.symlink_to(outside)
    try:
        with pytest.raises(NotWritable, match=r"deployments\.log: is a symbolic link"):
            deployment_ledger.note(environment, "qa", "phase-1", "gate", "pass")
    finally:
        ledger.unlink()
    assert outside.read_text() == "half a line"


def test_home_and_logs_may_be_links(stage: Stage) -> None:
    """Both variables may lead through links to another disk: deploy, roll back, prune and stop as everywhere."""
    for variable in ("GAIA_HOME", "GAIA_LOG_DIR"):
        elsewhere = stage.folder / f"disk-{variable}"
        elsewhere.mkdir(0o700)
        link = stage.folder / f"link-{variable}"
        link.symlink_to(elsewhere)
        stage.variables[variable] = str(link)
    stage.deploy("1")
    stage.kill_supervisor()
    stage.deploy("2")
    rollout.rollback(stage.environment)
    assert stage.health()["version"] == "1"
    assert prune(stage.environment, 0) == ()
    rollout.stop(stage.environment)
    assert stage.processes() == []
    assert (stage.folder / "disk-GAIA_LOG_DIR" / "deployments.log").exists()


def test_stale_locks_stop_nobody(stage: Stage) -> None:
    """Lock files of killed commands, whatever they contain, are taken over."""
    here = paths.of(stage.environment)
    paths.prepare(here)
    for lock in (here.deploy_lock, here.supervise_lock):
        lock.write_text('{"pid": 1, "who": "somebody@elsewhere", "why": "deploy')
    assert stage.deploy().state == "running"
    assert here.deploy_lock.read_text() == ""


def test_a_partial_release_that_is_a_link_is_removed_and_nothing_behind_it(tmp_path: Path) -> None:
    """Neither its content nor its modes change, nor those behind a link inside a partial release."""
    outside, releases = tmp_path / "outside", tmp_path / "releases"
    targets(outside, tmp_path / "loop")
    (outside / "folder").chmod(0o755)
    before = tree(outside)
    (releases / ".new-b" / "inside").mkdir(parents=True)
    (releases / ".new-b" / "link").symlink_to(outside / "folder")
    for name, target in {"a": outside / "folder", "c": outside / "dangling", "d": outside / "file"}.items():
        (releases / f".new-{name}").symlink_to(target)
    release_folder.sweep(releases)
    assert list(releases.iterdir()) == []
    assert tree(outside) == before


@pytest.mark.parametrize("kind", ["copy", "dangling"])
def test_a_release_that_is_a_link_is_replaced_by_a_folder(stage: Stage, tmp_path: Path, kind: str) -> None:
    """What serves is in the release store, where nobody changes it later."""
    first = stage.deploy("1").release_dir
    assert first is not None
    rollout.stop(stage.environment)
    moved = tmp_path / "elsewhere"
    first.chmod(0o700)
    first.rename(moved)
    first.symlink_to(moved if kind == "copy" else tmp_path / "nothing")
    assert stage.deploy("1").release_dir == first
    assert stat.S_ISDIR(first.lstat().st_mode)
    assert (moved / "gaia_server").exists()
    assert stage.health()["version"] == "1"
