"""Every command of the pages is run by a test that reads it there, or stands in a table with the reason why not."""

import shutil
import subprocess
from importlib.util import find_spec

import pytest

from gaia_checks.environment.project import ROOT
from tests.docs import commands, pages
from tests.docs.not_run import CI, FIRST, NOT_RUN
from tests.docs.test_pages import check_command

MACHINE = "tests/docs/test_one_machine.py"
PROMOTION = "tests/docs/test_promotion_commands.py"
GATES = "tests/docs/test_gate_commands.py"

RUN = {
    "CONTRIBUTING.md#contributing": [MACHINE],
    "README.md#gating-your-own-environments": [GATES],
    "README.md#deploying": [MACHINE, PROMOTION],
    "README.md#load": [MACHINE],
    "docs/deploy/running.md#user-folders-variables": [MACHINE],
    "docs/deploy/running.md#first-deployment": [MACHINE],
    "docs/deploy/running.md#looking": [MACHINE],
    "docs/deploy/running.md#systemd-in-place-of-gaias-supervisor": [MACHINE],
    "docs/deploy/running.md#how-the-units-were-checked": [MACHINE],
    "docs/how-to/first-release.md#from-nothing-to-a-promoted-release": [MACHINE],
    "docs/how-to/first-release.md#1-a-remote-of-your-own": [MACHINE],
    "docs/how-to/first-release.md#2-three-environments": [MACHINE],
    "docs/how-to/first-release.md#3-who-may-sign": [MACHINE],
    "docs/how-to/first-release.md#4-a-release": [MACHINE],
    "docs/how-to/first-release.md#5-deploy-it-to-dev-and-gate-it": [MACHINE],
    "docs/how-to/first-release.md#6-let-it-into-qa": [MACHINE],
    "docs/how-to/first-release.md#7-stop-everything": [MACHINE],
    "docs/how-to/keys.md#say-who-may-sign": [PROMOTION],
    "docs/how-to/own-criteria.md#the-gate": ["tests/docs/test_own_criteria.py"],
    "docs/how-to/own-server.md#gate-a-server-of-your-own": ["tests/test_starter.py", "tests/test_wheel.py"],
    "docs/how-to/promote.md#sign-off-and-promote-a-release": [PROMOTION],
    "docs/how-to/prove.md#a-server-of-your-own": ["tests/prove/test_proven.py"],
    "docs/how-to/prove.md#show-which-faults-the-gate-catches": ["tests/prove/test_proven.py"],
    "docs/how-to/roll-back.md#rolling-back-at-3-am": [MACHINE],
    "docs/how-to/wall.md#for-other-machines": [MACHINE],
    "docs/how-to/wall.md#show-every-environment-on-a-wall": [MACHINE],
    "docs/load.md#from-the-command-line": [MACHINE],
    "docs/monitoring/README.md#monitoring": ["tests/monitoring/test_promtool.py"],
    "starter/gate.sh": ["tests/test_starter.py"],
}
"""A section with commands -> the tests that run what `commands.to_run` returns of it."""

EVERY = commands.every()


def test_every_command_is_run_or_excused() -> None:
    """A section with another command than those of the table has a test, and no entry of either table is left over."""
    excused = {command.bare for command in EVERY if command.bare in NOT_RUN}
    assert {command.section for command in EVERY if command.bare not in NOT_RUN} == RUN.keys()
    assert excused == NOT_RUN.keys()
    assert len(NOT_RUN) <= 12, "run the command: this table only shrinks"


@pytest.mark.parametrize(("section", "test"), [(section, test) for section, tests in RUN.items() for test in tests])
def test_the_named_test_reads_the_section(section: str, test: str) -> None:
    """It has the section in its text, as the argument of `to_run` or in a table of sections."""
    text = (ROOT / test).read_text()
    assert f'"{section}"' in text
    assert "to_run(" in text or section.endswith(".sh")


def test_what_ci_runs_is_what_ci_runs() -> None:
    """Every command that is excused by CI is one of its lines, or the beginning of one."""
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert {command for command, why in NOT_RUN.items() if why == CI} <= set(lines)
    assert {f"{command} FAULTS=first" for command, why in NOT_RUN.items() if why == FIRST} <= set(lines)


@pytest.mark.parametrize("bare", NOT_RUN)
def test_a_command_that_is_not_run_has_at_least_the_right_words(bare: str) -> None:
    """Targets of make, commands of gaia with their arguments, modules of Python; another program is installed."""
    command = next(command for command in EVERY if command.bare == bare)
    for words in command.simple():
        check_words(words, bare)


def check_words(words: list[str], code: str) -> None:
    """Fail when a command line cannot be meant."""
    match words:
        case ["make", *targets]:
            done = subprocess.run(("make", "-n", *targets), cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        case [program, *arguments] if program.rpartition("/")[2] == "gaia":
            check_command(arguments, code, complete=True)
        case [program, "-m", module, *_] if program.rpartition("/")[2].startswith("python"):
            assert find_spec(module), f"{code}: no module {module}"
        case [program, *_]:
            assert shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin"), code


def test_a_block_of_commands_says_so() -> None:
    """No block without a language, or indented, starts a line with a program that the commands use."""
    programs = {command.program for command in EVERY if command.program.isidentifier()}
    unlabelled = [
        f"{block.section}: {line}"
        for page in pages.PAGES
        for block in pages.blocks(page)
        if not block.language
        for line in block.text.splitlines()
        if line.startswith("$ ") or line.split(" ")[0] in programs
    ]
    assert unlabelled == []
