"""A copy of the server's source with one fault in it, and what is built of it."""

import hashlib
import os
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gaia_checks import files
from gaia_checks.deploy.git import git_command
from gaia_checks.deploy.release import build
from gaia_checks.environment.environment import Environment
from gaia_checks.environment.project import PROJECT, ROOT
from gaia_checks.errors import ArtifactError, ConfigurationError
from gaia_checks.prove.interruptible import Run

_OURS = ("gaia_server", "migrations")
"""What of this repository is copied: its server. A fault in the gate would prove nothing about the gate."""


class DoesNotApply(ConfigurationError):
    """The patch does not fit the source."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Where the source of a server is, how a patch is applied to it, and how it is built."""

    root: Path
    parts: tuple[str, ...]  # what of it is copied; empty: everything that git knows
    faults: Path
    apply: str
    build: str | None  # None: gaia_server's own build

    def files(self) -> list[str]:
        """Return the paths of what is copied, but for the faults. Raises ArtifactError outside git."""
        listed = git_command.git(
            *("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *self.parts),
            why=f"{self.root}: only a git repository can be copied", folder=self.root,
        )  # fmt: skip
        found = (name for name in listed.decode().split("\0") if name and os.path.lexists(self.root / name))
        return sorted(name for name in found if not (self.root / name).is_relative_to(self.faults))

    def digest(self) -> str:
        """Return one sha256 over the copied source and the commands."""
        sums = (f"{files.sha256(self.root / name)}  {name}\n" for name in self.files() if (self.root / name).is_file())
        return hashlib.sha256("".join((*sums, self.apply, self.build or "")).encode()).hexdigest()


def recipe(environment: Environment) -> Recipe:
    """Return the recipe of an environment's server: its table [prove], else that of gaia_server."""
    settings = environment.prove
    if settings is None and PROJECT == ROOT:
        return Recipe(ROOT, _OURS, ROOT / "faults", "git apply {patch}", None)
    if settings is None:
        raise ConfigurationError(
            f"{environment.path.name}: prove: missing; give [prove] with faults and build (docs/how-to/prove.md)"
        )
    return Recipe(PROJECT, (), settings.faults, settings.apply, settings.build)


@dataclass(frozen=True, slots=True)
class Workplace:
    """A folder with the copied source."""

    source: Path
    recipe: Recipe
    run: Run

    def copy(self) -> None:
        """Copy the source."""
        for name in self.recipe.files():
            (self.source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.recipe.root / name, self.source / name, follow_symlinks=False)

    def apply(self, patch: Path) -> None:
        """Seed a fault. Raises DoesNotApply with the last line of the command's output."""
        self._command(self.recipe.apply.replace("{patch}", shlex.quote(str(patch))), DoesNotApply)

    def build(self) -> Path:
        """Build the server; return the executable. Raises ArtifactError."""
        if self.recipe.build is None:
            self._share_dependencies()
            return build.build(self.source)
        self._command(self.recipe.build, ArtifactError)
        return self.source / "build" / build.NAME

    @property
    def migrations(self) -> Path:
        """The folder of the migrations, which lists none where the server has none."""
        folder = self.source / "migrations"
        folder.mkdir(exist_ok=True)
        (folder / "order.txt").touch()
        return folder

    def _share_dependencies(self) -> None:
        """Use the installed dependencies of the last `make build`; a fault changes none."""
        (self.source / "build").mkdir()
        for cached in (self.recipe.root / "build").glob(".dependencies-*"):
            (self.source / "build" / cached.name).symlink_to(cached)

    def _command(self, command: str, kind: Callable[[str], Exception]) -> None:
        # git would take a path within a repository around it for one of that repository's
        done = self.run(shlex.split(command), self.source, {"GIT_CEILING_DIRECTORIES": str(self.source.parent)})
        if done.code:
            raise kind(f"{command.split(maxsplit=1)[0]}: {done.last_line or f'exit code {done.code}'}")
