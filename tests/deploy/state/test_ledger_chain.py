"""The ledger's chain: every kind of change to a line is found and named."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gaia_checks import jsonl
from gaia_checks.deploy.state import deployment_ledger, ledger_chain, paths
from gaia_checks.deploy.state.ledger_chain import ChainHead
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment

Lines = list[str]


@pytest.fixture
def here(tmp_path: Path) -> Environment:
    """An environment whose ledger has four lines."""
    made = environment_file.load("local", variables={"GAIA_HOME": str(tmp_path)})
    for number in range(4):
        deployment_ledger.note(made, "local", f"phase-{number}", "gate", "pass", why="Größe\n\u2028")
    return made


def faults(here: Environment, *heads: ChainHead) -> list[str]:
    """What is wrong, without the folder."""
    found = ledger_chain.faults(paths.of(here).ledger, paths.home_identity(here), heads)
    return [one.rpartition("/")[2] for one in found]


def head(here: Environment) -> ChainHead:
    """The ledger's head."""
    found = ledger_chain.head(paths.of(here).ledger, paths.home_identity(here))
    assert found is not None
    return found


def test_an_untouched_ledger_has_no_fault(here: Environment) -> None:
    """Also after a torn line of a killed command, and with the head that was stated before."""
    stated = head(here)
    with paths.of(here).ledger.open("a") as file:
        file.write('{"at": "2026')
    deployment_ledger.note(here, "local", "phase-5", "gate", "pass")
    assert faults(here, stated, head(here)) == []
    assert stated.lines == 4
    assert [one["phase"] for one in jsonl.read(paths.of(here).ledger)][-1] == "phase-5"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda lines: lines[1:], "deployments.log:1: edited, or a line before it was removed, added or moved"),
        (lambda lines: [lines[0], *lines[2:]], "deployments.log:2: edited, or a line"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "deployments.log:1: edited, or a line"),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], "deployments.log:3: edited, or a line"),
        (lambda lines: [*lines[:3], lines[3].replace("pass", "fail")], "deployments.log:4: edited, or a line"),
        (lambda lines: [*lines, '{"step":"gate"}'], "deployments.log:5: not a line that gaia wrote"),
        (lambda lines: ["", *lines], "deployments.log:1: not a line that gaia wrote"),
        (lambda lines: lines[:3], "deployments.log:4: is gone: a signed statement names another"),
        (lambda _lines: [], "deployments.log:4: is gone"),
    ],
)
def test_a_changed_line_is_named(here: Environment, change: Callable[[Lines], Lines], why: str) -> None:
    """Removed, swapped, doubled, edited, added without a link, cut off at the end."""
    stated, path = head(here), paths.of(here).ledger
    lines = change(path.read_text().split("\n")[:-1])
    path.write_text("".join(f"{line}\n" for line in lines))
    assert [one.startswith(why) for one in faults(here, stated)] == [True], faults(here, stated)


def test_a_ledger_that_was_written_again_no_longer_has_the_stated_head(here: Environment) -> None:
    """Whoever forges a line can link all that follow; the statement was made before."""
    stated, path = head(here), paths.of(here).ledger
    path.unlink()
    for number in range(5):
        deployment_ledger.note(here, "local", f"phase-{number}", "gate", "pass", why="forged")
    assert faults(here) == []
    assert faults(here, stated) == [
        "deployments.log:4: this line or one before it was written again: a signed statement names another"
    ]


def test_a_ledger_of_another_home_is_recognised(here: Environment, tmp_path: Path) -> None:
    """Copied as a whole, or written to by a command with another GAIA_HOME."""
    variables = {"GAIA_HOME": str(tmp_path / "other"), "GAIA_LOG_DIR": str(paths.of(here).ledger.parent)}
    other = environment_file.load("local", variables=variables)
    deployment_ledger.note(other, "local", "phase-1", "gate", "pass")
    mine, theirs = paths.home_identity(here), paths.home_identity(other)
    assert faults(here) == [f"deployments.log:5: written for another GAIA_HOME ({theirs}, this one is {mine})"]
    assert faults(other) == [f"deployments.log:1: written for another GAIA_HOME ({mine}, this one is {theirs})"]
