"""Release folders, made from a tag or from files: complete, read-only and verified."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gaia_checks.deploy.git import git_command
from gaia_checks.deploy.git.tag import Tag
from gaia_checks.deploy.release import release_folder
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import ArtifactError, MigrationError
from gaia_checks.files import sha256
from tests.support import filesystems


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A folder for releases, an executable and migrations."""
    releases, project = tmp_path / "releases", tmp_path / "project"
    releases.mkdir()
    (project / "build").mkdir(parents=True)
    (project / "migrations" / "rollback").mkdir(parents=True)
    (project / "build" / "gaia_server").write_text("#!/bin/sh\n")
    (project / "migrations" / "order.txt").write_text("001.sql\n")
    (project / "migrations" / "001.sql").write_text("SELECT 1;")
    (project / "migrations" / "rollback" / "001.sql").write_text("SELECT 2;")
    (project / "migrations" / "notes.txt").write_text("not part of a release")
    return releases, project / "build" / "gaia_server", project / "migrations"


def test_a_release_is_complete_read_only_and_named_by_its_content(parts: tuple[Path, Path, Path]) -> None:
    """The folder contains executable, migrations and description, and is read-only."""
    releases, executable, migrations = parts
    folder = release_folder.from_worktree(releases, executable=executable, migrations=migrations)
    release = release_folder.read(folder)
    assert release.sha256 == sha256(executable)
    assert list(release.migrations) == ["001"]
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "gaia_server", "release.json", "migrations/order.txt", "migrations/001.sql", "migrations/rollback/001.sql",
    }  # fmt: skip
    assert {stat.S_IMODE(path.stat().st_mode) & 0o222 for path in (folder, *folder.rglob("*"))} == {0}
    assert os.access(folder / "gaia_server", os.X_OK)
    assert release_folder.from_worktree(releases, executable=executable, migrations=migrations) == folder
    assert [path.name for path in releases.iterdir()] == [folder.name]


def test_a_release_is_synced_to_disk_before_its_rename(
    parts: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file and folder is synced before the rename, so a power cut leaves a complete release or none."""
    releases, executable, migrations = parts
    synced: list[int] = []
    renamed: list[bool] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        synced.append(os.fstat(descriptor).st_ino)
        renamed.append(any(not path.name.startswith(".") for path in releases.iterdir()))

    monkeypatch.setattr(os, "fsync", fsync)
    folder = release_folder.from_worktree(releases, executable=executable, migrations=migrations)
    assert {path.stat().st_ino for path in (folder, *folder.rglob("*"))} <= set(synced[:-1])
    assert synced[-1] == releases.stat().st_ino
    assert renamed == [False] * (len(renamed) - 1) + [True]


def test_other_migrations_make_another_release(parts: tuple[Path, Path, Path]) -> None:
    """The same executable with changed migrations gets a new folder; the existing one, which may run, is untouched."""
    releases, executable, migrations = parts
    first = release_folder.from_worktree(releases, executable=executable, migrations=migrations)
    (migrations / "001.sql").write_text("SELECT 3;")
    assert release_folder.from_worktree(releases, executable=executable, migrations=migrations) != first
    release_folder.read(first)


def test_a_damaged_release_is_refused_and_replaced(parts: tuple[Path, Path, Path]) -> None:
    """A changed executable is refused; making the same release again replaces the folder."""
    releases, executable, migrations = parts
    folder = release_folder.from_worktree(releases, executable=executable, migrations=migrations)
    (folder / "gaia_server").chmod(0o755)
    (folder / "gaia_server").write_text("#!/bin/false\n")
    with pytest.raises(ArtifactError, match="is not the one that was released"):
        release_folder.read(folder)
    assert release_folder.from_worktree(releases, executable=executable, migrations=migrations) == folder
    assert release_folder.read(folder).sha256 == sha256(executable)
    release_folder.sweep(releases)
    assert [path.name for path in releases.iterdir()] == [folder.name]


def test_a_release_of_a_tag_ignores_the_working_tree(
    parts: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Executable and migrations come from the tagged commit, not from the changed working tree."""
    releases, executable, migrations = parts
    repository = migrations.parent
    create_tag(repository, monkeypatch)
    tagged = sha256(executable)
    executable.write_text("#!/bin/sh\nexit 1\n")
    (migrations / "001.sql").write_text("SELECT 3;")
    commit(repository)
    folder = release_folder.from_tag(releases, Tag("qa", "phase-1"))
    release = release_folder.read(folder)
    assert (release.phase, release.sha256) == ("phase-1", tagged)
    assert release.commit == git(repository, "rev-parse", "deploy/qa/phase-1")
    assert (folder / "migrations" / "001.sql").read_text() == "SELECT 1;"
    assert git_command.tag_present(Tag("qa", "phase-1"))


BODY = b"SELECT '$Id$', '$Format:%H$';\n-- a second line\n"
CONVERSIONS = {
    "core.autocrlf": ({"core.autocrlf": "true"}, ""),
    "core.eol": ({"core.eol": "crlf"}, "*.sql text\n"),
    "eol": ({}, "* text eol=crlf\n"),
    "ident": ({}, "*.sql ident\n"),
    "export-subst": ({}, "*.sql export-subst\n"),
    "export-ignore": ({}, "*.sql export-ignore\nbuild export-ignore\n"),
    "encoding": ({}, "*.sql text working-tree-encoding=UTF-16\n"),
    "filter": ({"filter.shout.smudge": "tr a-z A-Z"}, "* filter=shout\n"),
    "textconv": ({"diff.shout.textconv": "tr a-z A-Z <"}, "* diff=shout\n"),
}


@pytest.mark.parametrize("where", ["commit", "machine"])
@pytest.mark.parametrize("conversion", CONVERSIONS)
def test_a_release_of_a_tag_has_the_bytes_of_the_commit(
    parts: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, conversion: str, where: str
) -> None:
    """No conversion of a checkout or an archive, configured in the commit or on this machine, changes a byte."""
    releases, executable, migrations = parts
    (migrations / "001.sql").write_bytes(BODY)
    create_tag(migrations.parent, monkeypatch)
    plain = release_folder.from_tag(releases, Tag("qa", "phase-1"))
    settings, attributes = CONVERSIONS[conversion]
    for name, value in settings.items():
        git(migrations.parent, "config", name, value)
    if where == "commit":
        (migrations.parent / ".gitattributes").write_text(attributes)
        git(migrations.parent, "add", ".gitattributes")  # not the converted files
        git(migrations.parent, *COMMIT, "--allow-empty")
        git(migrations.parent, "tag", "--force", "deploy/qa/phase-1")
    else:
        (migrations.parent / ".git" / "info" / "attributes").write_text(attributes)
    folder = release_folder.from_tag(releases, Tag("qa", "phase-1"))
    assert (folder / "migrations" / "001.sql").read_bytes() == BODY
    assert release_folder.read(folder).migrations == release_folder.read(plain).migrations
    assert sha256(folder / "gaia_server") == sha256(executable)


def test_a_replaced_object_does_not_change_a_release(
    parts: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`git replace` shows other bytes under the name of an object; a release has the commit's own."""
    releases, _, migrations = parts
    repository = migrations.parent
    create_tag(repository, monkeypatch)
    (repository / "other.sql").write_text("SELECT 3;")
    other = git(repository, "hash-object", "-w", "other.sql")
    git(repository, "replace", git(repository, "rev-parse", "HEAD:migrations/001.sql"), other)
    folder = release_folder.from_tag(releases, Tag("qa", "phase-1"))
    assert (folder / "migrations" / "001.sql").read_text() == "SELECT 1;"


def test_a_release_is_made_of_the_projects_repository_also_in_another_ones_hook(
    parts: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The variables that git sets for a hook name the hook's repository, not the project's."""
    releases, _, migrations = parts
    create_tag(migrations.parent, monkeypatch)
    git(tmp_path, "init", "--quiet", "--bare", "hooked.git")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "hooked.git"))
    assert release_folder.from_tag(releases, Tag("qa", "phase-1")).exists()


@pytest.mark.parametrize("name", ["001.sql", "order.txt", "rollback"])
def test_a_link_in_the_tagged_migrations_is_refused(
    parts: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """A link may lead out of the commit; skipping it would change the release silently."""
    releases, _, migrations = parts
    (migrations / name).rename(tmp_path / name)
    (migrations / name).symlink_to(tmp_path / name)
    create_tag(migrations.parent, monkeypatch)
    message = f"^deploy/qa/phase-1: migrations/{name}: not a regular file, but a link or another repository; commit"
    with pytest.raises(ArtifactError, match=message):
        release_folder.from_tag(releases, Tag("qa", "phase-1"))
    assert list(releases.iterdir()) == []


@pytest.mark.parametrize("name", ["build/gaia_server", "migrations/001.sql"])
def test_a_pointer_of_git_lfs_is_refused(
    parts: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The commit has no such file, only the name of one elsewhere."""
    releases, _, migrations = parts
    (migrations.parent / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")
    create_tag(migrations.parent, monkeypatch)
    with pytest.raises(ArtifactError, match=f"^deploy/qa/phase-1: {name}: a pointer of Git LFS; commit the file its"):
        release_folder.from_tag(releases, Tag("qa", "phase-1"))
    assert list(releases.iterdir()) == []


def test_a_tag_without_migrations_is_refused(parts: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the missing folder, and no folder remains."""
    releases, _, migrations = parts
    shutil.rmtree(migrations)
    create_tag(migrations.parent, monkeypatch)
    with pytest.raises(ArtifactError, match=r"^deploy/qa/phase-1 has no migrations; commit migrations/order\.txt$"):
        release_folder.from_tag(releases, Tag("qa", "phase-1"))
    assert list(releases.iterdir()) == []


def test_a_tag_without_order_txt_is_released_in_natural_order(
    parts: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers of its files order them; where they do not, nothing is released."""
    releases, _, migrations = parts
    (migrations / "order.txt").unlink()
    (migrations / "10.sql").write_text("SELECT 10;")
    create_tag(migrations.parent, monkeypatch)
    release = release_folder.read(release_folder.from_tag(releases, Tag("qa", "phase-1")))
    assert list(release.migrations) == ["001", "10"]
    (migrations / "1.sql").write_text("SELECT 1;")
    commit(migrations.parent)
    git(migrations.parent, "tag", "deploy/qa/phase-2")
    with pytest.raises(MigrationError, match=r"no order\.txt, and 001\.sql and 1\.sql have the same number; write it"):
        release_folder.from_tag(releases, Tag("qa", "phase-2"))


def test_a_checkout_of_the_project_keeps_the_bytes_of_its_migrations(tmp_path: Path) -> None:
    """Otherwise a working tree made with core.autocrlf differs from the tag of the same commit."""
    shutil.copytree(ROOT / "migrations", tmp_path / "migrations")
    shutil.copy(ROOT / ".gitattributes", tmp_path)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "config", "core.autocrlf", "true")
    commit(tmp_path)
    shutil.rmtree(tmp_path / "migrations")
    git(tmp_path, "checkout", "--", "migrations")
    for file in (ROOT / "migrations").rglob("*.*"):
        assert (tmp_path / file.relative_to(ROOT)).read_bytes() == file.read_bytes()


def test_a_missing_tag_is_refused(parts: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the missing tag, and no folder remains."""
    releases, _, migrations = parts
    monkeypatch.setattr(release_folder, "ROOT", migrations.parent)
    monkeypatch.setattr("gaia_checks.deploy.git.git_command.PROJECT", migrations.parent)
    git(migrations.parent, "init", "--quiet")
    with pytest.raises(ArtifactError, match="deploy/qa/phase-9: tag not found"):
        release_folder.from_tag(releases, Tag("qa", "phase-9"))
    assert git_command.tag_present(Tag("qa", "phase-9")) is False
    assert list(releases.iterdir()) == []


def test_a_tag_without_an_executable_is_refused(
    parts: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the missing executable, and no folder remains."""
    releases, executable, migrations = parts
    executable.unlink()
    create_tag(migrations.parent, monkeypatch)
    with pytest.raises(ArtifactError, match="deploy/qa/phase-1 has no executable"):
        release_folder.from_tag(releases, Tag("qa", "phase-1"))
    assert list(releases.iterdir()) == []


@pytest.mark.parametrize("text", ["", "\n", "gaia_server\n", "c0ffee  gaia_server\n"])
def test_a_tag_with_an_invalid_digest_file_is_refused(
    parts: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """The error names the digest file and the command that writes it."""
    releases, executable, migrations = parts
    executable.with_name("gaia_server.sha256").write_text(text)
    create_tag(migrations.parent, monkeypatch)
    with pytest.raises(ArtifactError, match=r"phase-1: build/gaia_server\.sha256 does not start with a sha256; commit"):
        release_folder.from_tag(releases, Tag("qa", "phase-1"), template=str(executable))
    assert list(releases.iterdir()) == []


def test_a_git_error_is_not_reported_as_a_missing_tag(
    parts: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another user's repository the error is git's own message, and the tag's presence is unknown."""
    releases, _, migrations = parts
    create_tag(migrations.parent, monkeypatch)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(ArtifactError, match=r"deploy/qa/phase-1: git: fatal: detected dubious ownership") as caught:
        release_folder.from_tag(releases, Tag("qa", "phase-1"))
    assert "\n" not in str(caught.value)
    assert git_command.tag_present(Tag("qa", "phase-1")) is None
    assert git_command.head() is None


COMMIT = ("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "x")


def create_tag(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Initialize the folder as the project's repository, commit everything and tag it deploy/qa/phase-1."""
    monkeypatch.setattr(release_folder, "ROOT", repository)
    monkeypatch.setattr("gaia_checks.deploy.git.git_command.PROJECT", repository)
    git(repository, "init", "--quiet")
    commit(repository)
    git(repository, "tag", "deploy/qa/phase-1")


def commit(repository: Path) -> None:
    """Commit everything."""
    git(repository, "add", "--force", "--all")
    git(repository, *COMMIT)


def git(repository: Path, *words: str) -> str:
    """Run git and return its output."""
    done = subprocess.run(("git", *words), cwd=repository, check=True, capture_output=True, text=True)
    return done.stdout.strip()


BUILD = """
import sys
from pathlib import Path
from gaia_checks.deploy.release import release_folder
from gaia_checks.errors import NotWritable
release_folder.ROOT = Path(sys.argv[1])
try:
    print(release_folder.from_worktree(Path(sys.argv[2])).name)
except NotWritable as error:
    print(error)
"""


@pytest.mark.parametrize("built", [False, True])
def test_a_read_only_checkout_must_have_been_built(parts: tuple[Path, Path, Path], *, built: bool) -> None:
    """An executable newer than its sources is used; an older one is refused, with what to do."""
    releases, executable, migrations = parts
    project, source = migrations.parent, migrations.parent / "source"
    source.touch()
    os.utime(source, (0, 0) if built else None)
    os.utime(executable, None if built else (0, 0))
    (project / "Makefile").write_text("build: build/gaia_server\nbuild/gaia_server: source\n\ttouch $@\n")
    done = subprocess.run(
        filesystems.among(
            filesystems.read_only(project), command=(sys.executable, "-c", BUILD, str(project), str(releases))
        ),
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    refused = (
        f"{project / 'build'}: cannot be written, and its executable is missing or older than its sources; "
        "run `make build` where the checkout can be written\n"
    )
    assert done.stdout == (f"{next(releases.iterdir()).name}\n" if built else refused)
