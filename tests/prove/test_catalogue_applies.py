"""The catalogue of faults: each patch applies to the server as it is now, and leaves sources that can be read."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaia_checks.deploy.migrations import lint
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import MigrationError
from gaia_checks.judge import criteria_file

FAULTS = ROOT / "faults"
PATCHES = sorted(FAULTS.glob("*/*.patch"))
WITHOUT_FAULTS = {"prod.certificate", "prod.no_regression", "qa.instances"}
"""What no source decides."""

CRITERIA = {criterion.id for criterion in criteria_file.load().criteria}
HEADER = re.compile(
    r"What: \S.*\nWhy: \S.*\nCriterion: (\S+)\n(?:Also: (\S.*)\n)?(?:Window: \d+ s\n)?\n(?=diff --git )"
)


def label(patch: Path) -> str:
    """Return CRITERION/NAME."""
    return f"{patch.parent.name}/{patch.stem}"


def git(source: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git in a copy of the sources, where it must not find a repository around."""
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(source.parent), "GIT_DIR": str(source / "none")}
    return subprocess.run(
        ["git", "apply", *arguments], cwd=source, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a patch may change."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("gaia_server", "migrations"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def patched(source: Path) -> Iterator[tuple[str, list[Path]]]:
    """Apply each patch that does, yield what it changed, and take it back."""
    for patch in PATCHES:
        changed = git(source, "--numstat", str(patch)).stdout.splitlines()
        if git(source, str(patch)).returncode == 0:
            yield label(patch), [source / line.split("\t")[2] for line in changed]
            assert git(source, "-R", str(patch)).returncode == 0


def syntax_error(file: Path) -> str | None:
    """Return why a changed file cannot be read, None if it can. The statements of functions in SQL are not read.

    A name that is defined nowhere counts: the server would not start, and the fault would never be tried.
    """
    try:
        if file.suffix == ".py":
            ast.parse(file.read_text())
            undefined = (sys.executable, "-m", "ruff", "check", "--isolated", "--quiet", "--select", "F821", str(file))
            return subprocess.run(undefined, capture_output=True, text=True, check=False).stdout or None
        if file.suffix == ".sql" and file.parent.name == "migrations":
            lint.check(file.parent, [file.stem], [])
    except (SyntaxError, MigrationError) as error:
        return f"{file.name}: {error}"
    return None


def test_each_patch_has_a_complete_header() -> None:
    """What, Why, the criterion of its folder, and then the diff."""
    wrong = []
    for patch in PATCHES:
        found = HEADER.match(patch.read_text())
        named = {found[1], *(found[2] or found[1]).split(", ")} if found else set()
        if not found or found[1] != patch.parent.name or not named <= CRITERIA:
            wrong.append(label(patch))
    assert wrong == []


def test_names_are_unique() -> None:
    """A name alone finds its fault."""
    assert [name for name, number in Counter(patch.stem for patch in PATCHES).items() if number > 1] == []


def test_each_criterion_has_faults() -> None:
    """At least four, except where no source decides."""
    counted = Counter(patch.parent.name for patch in PATCHES)
    assert {criterion for criterion in CRITERIA if counted[criterion] < 4} == WITHOUT_FAULTS


def test_each_patch_applies(source: Path) -> None:
    """To the sources as they are now."""
    refused = {label(patch): git(source, "--check", str(patch)).stderr for patch in PATCHES}
    assert {name: error for name, error in refused.items() if error} == {}


def test_each_patch_leaves_sources_that_can_be_read(source: Path) -> None:
    """Except the one that the deployment's own linter must refuse."""
    wrong = {name: error for name, files in patched(source) for error in map(syntax_error, files) if error}
    assert {name: error for name, error in wrong.items() if name != "dev.migrations/index-built-concurrently"} == {}
