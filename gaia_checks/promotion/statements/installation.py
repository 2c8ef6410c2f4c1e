"""What measured: the version and files of gaia-checks itself, foreign pytest plugins, options, host and account."""

import hashlib
import socket
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gaia_checks import __version__, files
from gaia_checks.deploy.git import git_command
from gaia_checks.deploy.state import lock
from gaia_checks.environment.project import INSTALLED, PACKAGES
from gaia_checks.errors import ArtifactError, MissingDependency

_CLONE = ("gaia_checks", "suites", "locustfiles", "conftest.py", "tests/conftest.py", "tests/support")
_PARTS = ("gaia_checks",) if INSTALLED else _CLONE
"""What a gate loads of gaia-checks; in a clone pytest reads the tests' configuration for a gate, too."""

_KNOWN_PLUGINS = {
    "_pytest",
    "pytest",
    "gaia_checks",
    "xdist",
    "allure_pytest",
    "anyio",
    "platformdirs",
    "_hypothesis_pytestplugin",
}


def describe(plugins: Iterable[object], options: Sequence[str]) -> dict[str, Any]:
    """Return the facts about this gate; `plugins` are pytest's, `options` those of its command line."""
    return {
        "version": __version__,
        "files_sha256": digest(),
        "commit": None if INSTALLED else git_command.head(PACKAGES),
        "dirty": _dirty(),
        "foreign_plugins": sorted(set(_foreign(plugins))),
        "options": list(options),
        "host": socket.gethostname(),
        "account": lock.who().partition("@")[0],
    }


def digest(root: Path = PACKAGES) -> str:
    """Return one sha256 over the names and contents of gaia-checks' own files."""
    found = (
        path for part in _PARTS for path in ((root / part).rglob("*") if (root / part).is_dir() else [root / part])
    )
    listed = (
        f"{files.sha256(path)}  {path.relative_to(root).as_posix()}\n"
        for path in sorted(found)
        if path.is_file() and path.suffix != ".pyc"
    )
    return hashlib.sha256("".join(listed).encode()).hexdigest()


def _dirty() -> bool | None:
    """Whether these files differ from the commit; None outside git, also where pip installed them inside another's."""
    if INSTALLED:
        return None
    try:
        changed = git_command.git(
            "status", "--porcelain", "--untracked-files=all", "--", *_PARTS, why="git status", folder=PACKAGES
        )
    except (ArtifactError, MissingDependency):
        return None
    return bool(changed.strip())


def _foreign(plugins: Iterable[object]) -> Iterator[str]:
    """Yield the modules of plugins that are neither pytest's, nor ours, nor of a package that we install."""
    ours = [PACKAGES / part for part in _PARTS]
    for plugin in plugins:
        module = plugin.__name__ if hasattr(plugin, "__file__") else type(plugin).__module__  # type: ignore[attr-defined]
        file = Path(getattr(plugin, "__file__", None) or "/")
        known = module.partition(".")[0] in _KNOWN_PLUGINS or any(file.is_relative_to(one) for one in ours)
        if not known:
            yield module
