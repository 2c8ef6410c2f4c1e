"""A real bare git repository that others push to: branches of the stages, commits with a release, deployment tags."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.conftest import MIGRATION
from tests.deploy.stage import FAKE

BRANCHES = ("develop", "qa", "main")

_ALONE = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.test",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.test",
}


@dataclass(frozen=True)
class Forge:
    """The repository and a clone of it in which people work."""

    folder: Path

    @property
    def url(self) -> str:
        """Where the bare repository is."""
        return f"file://{self.bare}"

    @property
    def bare(self) -> Path:
        """Its folder."""
        return self.folder / "origin.git"

    @property
    def work(self) -> Path:
        """The clone."""
        return self.folder / "work"

    def git(self, *words: str) -> str:
        """Run git in the clone."""
        done = subprocess.run(
            ("git", "-C", str(self.work), *words),
            env={**os.environ, **_ALONE}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def release(self, source: str, *branches: str) -> str:
        """Commit an executable with one migration, push it to the branches, and return the commit."""
        (self.work / "build").mkdir(exist_ok=True)
        (self.work / "migrations").mkdir(exist_ok=True)
        (self.work / "build" / "gaia_server").write_text(source)
        (self.work / "migrations" / "order.txt").write_text("001_items.sql\n")
        (self.work / "migrations" / "001_items.sql").write_text(MIGRATION)
        return self._push(*branches)

    def real(self, executable: Path, migrations: Path) -> str:
        """Commit a real server with its migrations as a release, and return the commit."""
        shutil.rmtree(self.work / "migrations", ignore_errors=True)
        shutil.copytree(migrations, self.work / "migrations")
        (self.work / "build").mkdir(exist_ok=True)
        shutil.copyfile(executable, self.work / "build" / "gaia_server")
        return self._push(*BRANCHES)

    def _push(self, *branches: str) -> str:
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "--message", "release")
        self.git("push", "--quiet", "--force", "origin", *(f"HEAD:refs/heads/{branch}" for branch in branches))
        return self.git("rev-parse", "HEAD")

    def fake(self, version: str, *branches: str, behaviour: str = "serve") -> str:
        """Commit a fake server as a release."""
        source = FAKE.read_text().replace('BEHAVIOUR = "serve"', f'BEHAVIOUR = "{behaviour}"')
        return self.release(source.replace('VERSION = "1"', f'VERSION = "{version}"'), *(branches or BRANCHES))

    def tag(self, name: str, commit: str = "HEAD") -> None:
        """Cut or move a tag, and push it."""
        self.git("tag", "--force", "--annotate", "--message", name, name, commit)
        self.git("push", "--quiet", "--force", "origin", f"refs/tags/{name}")

    def untag(self, name: str) -> None:
        """Delete a tag everywhere."""
        self.git("tag", "--delete", name)
        self.git("push", "--quiet", "origin", f":refs/tags/{name}")

    def tags(self) -> dict[str, str]:
        """Return what the bare repository has: tag -> commit."""
        listed = subprocess.run(
            ("git", f"--git-dir={self.bare}", "for-each-ref", "--format=%(refname:strip=2) %(*objectname)",
             "refs/tags"),
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        return dict(line.split(maxsplit=1) for line in listed.splitlines())

    def statements(self) -> str | None:
        """Return the head of the recorded statements in the bare repository."""
        return self.git_in("for-each-ref", "--format=%(objectname)", "refs/gaia/statements") or None

    def git_in(self, *words: str, stdin: str = "") -> str:
        """Run git in the bare repository, as its host could."""
        done = subprocess.run(
            ("git", f"--git-dir={self.bare}", *words),
            env={**os.environ, **_ALONE}, input=stdin, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def away(self) -> None:
        """Make the remote not answer."""
        self.bare.rename(self.folder / "elsewhere.git")

    def back(self) -> None:
        """Make it answer again."""
        (self.folder / "elsewhere.git").rename(self.bare)


def forge(folder: Path) -> Forge:
    """Make an empty repository in `folder` and a clone of it."""
    made = Forge(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run(("git", "init", "--quiet", "--bare", str(made.bare)), env={**os.environ, **_ALONE}, check=True)
    subprocess.run(
        ("git", "clone", "--quiet", str(made.bare), str(made.work)),
        env={**os.environ, **_ALONE}, capture_output=True, check=True,
    )  # fmt: skip
    return made
