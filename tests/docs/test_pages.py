"""What the pages refer to exists: files, headings, `make` targets, `gaia` commands and their options, gate options."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gaia_checks.cli.lazy_command import LazyCommand
from gaia_checks.cli.program import gaia
from gaia_checks.environment.project import ROOT

PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("suites/**/*.md"))
    if "example-report" not in path.parts
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
GATE = re.compile(r"(?:-m )?pytest (?P<options>[^#|`]*--env.*)")
PYTESTS_OWN = {"--junitxml", "--alluredir", "--help", "--version"}


def identifier(page: Path) -> str:
    """A page's path."""
    return str(page.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES, ids=identifier)


@every_page
def test_links_lead_to_files_and_headings(page: Path) -> None:
    """A relative link names an existing file, and its fragment a heading of that file."""
    for link in LINK.findall(page.read_text()):
        name, _, fragment = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = page.parent / name if name else page
        assert target.exists(), f"{link}: no such file"
        if fragment and target.suffix == ".md":
            assert fragment in headings(target), f"{link}: no such heading"


@every_page
def test_make_targets_exist(page: Path) -> None:
    """Whatever stands as `make TARGET` is one of the Makefile's."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {word for code in commands(page) for word in re.findall(r"^(?:\$ )?make ([a-z-]+)", code)}
    assert named <= targets


@every_page
def test_gaia_commands_and_their_options_exist(page: Path) -> None:
    """Whatever stands as a `gaia` command is one, with options that it has."""
    for code in commands(page):
        found = re.match(r"(?:\$ |[\w./]*/)?gaia ([a-z].*)", code)
        if found:
            check_command(found[1].split("#")[0].split(), code)


@every_page
def test_options_of_the_gate_exist(page: Path) -> None:
    """Whatever follows `pytest --env` is an option of the gate or of pytest."""
    known = options_of_the_gate() | PYTESTS_OWN
    for code in commands(page):
        for found in GATE.finditer(code):
            unknown = set(re.findall(r"--[a-z][a-z-]*", found["options"])) - known
            assert not unknown, code


def check_command(words: list[str], code: str) -> None:
    """Fail when the words are no command, or an option is none of it."""
    command: Any = gaia
    while hasattr(command, "commands") and words and re.fullmatch("[a-z-]+", words[0]):
        name = words.pop(0)
        assert name in command.commands, f"{code}: {name} is no command"
        command = command.commands[name]
        command = command.load() if isinstance(command, LazyCommand) else command
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    unknown = {word.split("=")[0] for word in words if re.match("--[a-z]", word)} - known - {"--help"}
    assert not unknown, f"{code}: unknown {unknown}"


def options_of_the_gate() -> set[str]:
    """The long options that the gate's plugin adds to pytest."""
    sources = (path.read_text() for path in (ROOT / "gaia_checks" / "gate").rglob("*.py"))
    return {option for source in sources for option in re.findall(r'addoption\(\s*"(--[a-z-]+)"', source)}


def commands(page: Path) -> Iterator[str]:
    """Yield each line of a page's code blocks and each inline code."""
    fenced = False
    for line in page.read_text().splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield re.sub(r"^(?:[A-Z_]+=\S+ )+", "", line.strip())
        else:
            yield from CODE.findall(line)


def headings(page: Path) -> set[str]:
    """The fragments of a page's headings, as git hosts make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
