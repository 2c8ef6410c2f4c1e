"""Every command of the pages, found in their blocks of shell commands, and run as it stands there."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from gaia_checks.environment.project import ROOT
from tests.docs import pages
from tests.docs.not_run import NOT_RUN

SCRIPTS = ("starter/gate.sh",)
"""Files of commands that people get beside the pages."""


@dataclass(frozen=True)
class Command:
    """One command; a loop and a here-document are one, over several lines."""

    section: str  # where it stands: "docs/load.md#from-the-command-line"
    text: str

    @property
    def bare(self) -> str:
        """The command without the remark after it."""
        return self.text if "\n" in self.text else re.sub(r"\s+# .*", "", self.text)

    @property
    def program(self) -> str:
        """Its first word that sets no variable; empty where it does nothing else."""
        return next((word for word in self.bare.split() if not re.match(r"[A-Z_]+=", word)), "")

    def simple(self) -> Iterator[list[str]]:
        """Yield the words of each part that `&&`, `||`, `|`, `;` and redirections separate."""
        part: list[str] = []
        for word in shlex.shlex(self.bare, posix=True, punctuation_chars=True):
            if re.fullmatch(r"[();<>|&]+", word):
                yield part
                part = []
            else:
                part.append(word)
        yield part


@cache
def every() -> tuple[Command, ...]:
    """Every command of every page and script, in order."""
    found = [command for page in pages.PAGES for command in of_page(page)]
    return (*found, *(Command(name, line) for name in SCRIPTS for line in split((ROOT / name).read_text())))


def of_page(page: str) -> Iterator[Command]:
    """Yield the commands of a page: of blocks of bash all lines, of a console those after `$ `."""
    for block in pages.blocks(page):
        if block.language in ("bash", "sh"):
            yield from (Command(block.section, text) for text in split(block.text))
        elif block.language == "console":
            yield from (Command(block.section, line[2:]) for line in block.text.splitlines() if line.startswith("$ "))


def to_run(section: str) -> list[str]:
    """The commands of a section that a test runs: all but those of `NOT_RUN`."""
    found = [command for command in every() if command.section == section]
    assert found, f"{section} has no commands"
    return [command.bare for command in found if command.bare not in NOT_RUN]


def split(script: str) -> Iterator[str]:
    """Yield the commands of a script: lines, as many as bash needs for a complete one."""
    lines: list[str] = []
    for line in script.splitlines():
        lines.append(line)
        if complete("\n".join(lines)):
            if not re.match(r"\s*(#|$)", line) or len(lines) > 1:
                yield "\n".join(lines)
            lines = []
    assert not lines, f"bash does not understand: {lines}"


def complete(script: str) -> bool:
    """Whether bash understands it, and does not wait for the end of a here-document."""
    done = subprocess.run(("bash", "-n"), input=f"{script}\n", capture_output=True, text=True, check=False)
    return not done.returncode and not done.stderr and not script.endswith("\\")
