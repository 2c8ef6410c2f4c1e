"""Exit codes 0 and 1 come from the verdict alone, whatever plugins, pipes and encodings do."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ground import ROOT, Ground, ground

FOREIGN = """
import os, pytest
how, code = os.environ["HOW"], int(os.environ.get("CODE", "0"))

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main():
    result = yield
    return code if how == "main" else result

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    if how == "kill the process in a test":
        os._exit(code)
    if how == "exit in a test":
        pytest.exit("enough", returncode=code)

@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    session.exitstatus = code
    if how == "exit at the end":
        pytest.exit("enough", returncode=code)

def pytest_terminal_summary():
    if how == "break the summary":
        raise RuntimeError("broken")

def pytest_unconfigure():
    if how == "kill the process":
        os._exit(code)
    if how == "leave":
        raise SystemExit(code)
    if how == "break the end":
        raise RuntimeError("broken")
"""

ENDS = ("status", "main", "exit at the end", "break the summary", "break the end", "kill the process", "leave")


@pytest.fixture(scope="module")
def place(executable: Path) -> Iterator[Ground]:
    """A healthy server, and a plugin that wants another exit code."""
    with ground() as made:
        made.deploy(executable, made.environment_file())
        made.environment_file(base_url=made.url)
        (made.folder / "foreign.py").write_text(FOREIGN)
        yield made


@pytest.fixture(scope="module")
def nowhere() -> Iterator[Ground]:
    """No server, and a plugin that wants another exit code: a quick gate that decides nothing."""
    with ground() as made:
        made.environment_file(base_url=made.url)
        (made.folder / "foreign.py").write_text(FOREIGN)
        yield made


def gate(place: Ground, command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a shell command line with the gate as $GATE; its exit code is that of the gate."""
    call = f"{sys.executable} -m pytest --env={place.folder / 'ground.toml'}"
    return subprocess.run(
        ("bash", "-c", f"set -o pipefail; {command.replace('GATE', call)}"),
        cwd=ROOT, env={**place.variables, **variables}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("how", ENDS)
def test_no_plugin_turns_an_undecided_gate_into_a_pass(nowhere: Ground, how: str) -> None:
    """It may set a status, raise, or end the process: the gate is inconclusive."""
    done = gate(nowhere, "GATE -p foreign -k health", HOW=how, PYTHONPATH=str(nowhere.folder))
    assert done.returncode == 8, done.stdout + done.stderr


@pytest.mark.parametrize(("how", "code"), [("exit in a test", 8), ("kill the process in a test", 3)])
def test_a_gate_that_a_plugin_ends_passes_nothing(nowhere: Ground, how: str, code: int) -> None:
    """What was not measured is not a pass, and a killed process is an internal error."""
    done = gate(nowhere, "GATE -p foreign -k health", HOW=how, PYTHONPATH=str(nowhere.folder))
    assert done.returncode == code, done.stdout + done.stderr
    assert json.loads((nowhere.latest / "verdict.json").read_text())["state"] == "inconclusive"


@pytest.mark.parametrize(
    ("command", "variables", "code"),
    [
        ("GATE -k health | head -1", {}, 8),
        ("GATE -k health > /dev/full", {}, 8),
        ("GATE -k health >&-", {}, 8),
        ("GATE -k health", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, 8),
        ("GATE -k health -x --maxfail=1", {}, 8),
        ("GATE -k health -W error", {"PYTHONWARNINGS": "error"}, 8),
        ("GATE -k health -o addopts= -p no:terminal -p no:locust", {}, 8),
        ("GATE -p no:gaia_checks.gate.pytest_hooks.plugin", {}, 4),
        ("GATE -o faulthandler_timeout=0.001 -o faulthandler_exit_on_timeout=true", {}, 4),
        ("GATE -p nonexistent", {}, 4),
    ],
)
def test_output_and_options_do_not_change_an_undecided_gate(
    nowhere: Ground, command: str, variables: dict[str, str], code: int
) -> None:
    """A pipe that closes early, a full disk, an encoding without our signs, options of pytest: never 0 or 1."""
    done = gate(nowhere, command, **variables)
    assert done.returncode == code, done.stdout + done.stderr


def test_a_pass_stands_without_optimisation_encoding_or_reader(place: Ground) -> None:
    """With `python -O`, output in ASCII, a reader that leaves, and a plugin that wants 1, a pass is still 0."""
    command = "GATE -p foreign | head -1"
    done = gate(place, command, HOW="leave", CODE="1", PYTHONPATH=str(place.folder), PYTHONOPTIMIZE="1",
                PYTHONIOENCODING="ascii")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((place.latest / "verdict.json").read_text())["state"] == "pass"


def test_the_exit_code_of_a_recomputed_verdict_stands(nowhere: Ground) -> None:
    """`gaia verdict show` into a closed pipe, in ASCII."""
    gate(nowhere, "GATE -k health")
    done = gate(
        nowhere,
        f"{sys.executable} -m gaia_checks.cli verdict show {nowhere.latest} | head -1",
        PYTHONIOENCODING="ascii",
    )
    assert done.returncode == 8, done.stdout + done.stderr


def test_signs_that_cannot_be_encoded_are_written_in_ascii(nowhere: Ground) -> None:
    """Nothing is lost: the table and the last line are complete."""
    done = gate(nowhere, "GATE -k health", PYTHONIOENCODING="ascii")
    assert done.stdout.isascii()
    assert "\\u" not in done.stdout
    assert "? inconclusive" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("INCONCLUSIVE (exit code 8): 0 of 7 criteria passed")


def test_what_took_part_is_sealed_in_the_evidence(nowhere: Ground) -> None:
    """Foreign plugins, pytest's variables, PYTHONPATH and options: in a file, in verdict.md and in the report."""
    variables = {"PYTHONPATH": str(nowhere.folder), "PYTEST_ADDOPTS": "-p foreign --tb=short", "HOW": "status"}
    done = gate(nowhere, "GATE -k health", **variables)
    assert done.returncode == 8, done.stdout + done.stderr
    record = json.loads((nowhere.latest / "invocation.json").read_text())
    assert record["options"][1:] == ["-k", "health"]
    assert record["variables"]["PYTEST_ADDOPTS"] == "-p foreign --tb=short"
    assert record["variables"]["PYTHONPATH"] == str(nowhere.folder)
    assert record["foreign"] == {"foreign": str(nowhere.folder / "foreign.py")}
    assert "invocation.json" in json.loads((nowhere.latest / "verdict.json").read_text())["files"]
    called = (
        f"called with: -k health; PYTEST_ADDOPTS=-p foreign --tb=short; PYTHONPATH={nowhere.folder}; plugin foreign"
    )
    assert called in (nowhere.latest / "verdict.md").read_text()
    facts = (nowhere.latest / "allure-results" / "environment.properties").read_text()
    assert called.replace(": ", " = ", 1) in facts
