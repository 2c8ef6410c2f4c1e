"""What the pages refer to exists: files, headings, `make` targets, `gaia` commands and their options, gate options."""

import re
from collections.abc import Iterator
from typing import Any

import click
import pytest

from gaia_checks.cli.lazy_command import LazyCommand
from gaia_checks.cli.program import gaia
from gaia_checks.environment.project import ROOT
from tests.docs import pages
from tests.docs.pages import every_page

GATE = re.compile(r"(?:-m )?pytest (?P<options>[^#|`]*--env.*)")
PYTESTS_OWN = {"--junitxml", "--alluredir", "--help", "--version"}


@every_page
def test_links_lead_to_files_and_headings(page: str) -> None:
    """A relative link names an existing file, and its fragment a heading of that file."""
    for link in pages.links(page):
        if "://" in link or link.startswith("mailto:"):
            continue
        target, fragment = pages.file_of(page, link), link.partition("#")[2]
        assert target.exists(), f"{link}: no such file"
        if fragment and target.suffix == ".md":
            assert fragment in pages.anchors(target.resolve().relative_to(ROOT).as_posix()), f"{link}: no such heading"


@every_page
def test_make_targets_exist(page: str) -> None:
    """Whatever stands as `make TARGET` is one of the Makefile's."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {word for code in commands(page) for word in re.findall(r"^(?:\$ )?make ([a-z-]+)", code)}
    assert named <= targets


@every_page
def test_gaia_commands_and_their_options_exist(page: str) -> None:
    """Whatever stands as a `gaia` command is one, with options that it has; the changelog names former ones, too."""
    for code in commands(page) if page != "CHANGELOG.md" else ():
        found = re.match(r"(?:\$ |[\w./]*/)?gaia ([a-z].*)", code)
        if found:
            check_command(re.split(r" [#&|]", found[1])[0].split(), code)


@every_page
def test_options_of_the_gate_exist(page: str) -> None:
    """Whatever follows `pytest --env` is an option of the gate or of pytest."""
    known = options_of_the_gate() | PYTESTS_OWN
    for code in commands(page):
        for found in GATE.finditer(code):
            unknown = set(re.findall(r"--[a-z][a-z-]*", found["options"])) - known
            assert not unknown, code


def check_command(words: list[str], code: str, *, complete: bool = False) -> None:
    """Fail when the words are no command, or click's parser refuses them; `complete` wants every argument as well."""
    command: Any = gaia
    while hasattr(command, "commands") and words and re.fullmatch("[a-z-]+", words[0]):
        name = words.pop(0)
        assert name in command.commands, f"{code}: {name} is no command"
        command = command.commands[name]
        command = command.load() if isinstance(command, LazyCommand) else command
    context = click.Context(command, info_name=code, resilient_parsing=not complete)
    try:
        _, left, _ = command.make_parser(context).parse_args(words)
        assert not left, f"{code}: {left} is too much"
        if complete:
            command.parse_args(context, words)
    except click.ClickException as error:
        pytest.fail(f"{code}: {error.format_message()}")


def options_of_the_gate() -> set[str]:
    """The long options that the gate's plugin adds to pytest."""
    sources = (path.read_text() for path in (ROOT / "gaia_checks" / "gate").rglob("*.py"))
    return {option for source in sources for option in re.findall(r'addoption\(\s*"(--[a-z-]+)"', source)}


def commands(page: str) -> Iterator[str]:
    """Yield each line of a page's code blocks and each inline code, without variables before it."""
    lines = (line for block in pages.blocks(page) for line in block.text.splitlines())
    for code in (*lines, *pages.inline_code(page)):
        yield re.sub(r"^(?:[A-Z_]+=\S+ )+", "", code.strip())
