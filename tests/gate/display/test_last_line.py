"""The last line of a gate's output, and what make writes below it."""

import os
import subprocess
from pathlib import Path

import pytest

from gaia_checks.environment.project import ROOT
from gaia_checks.gate.display import last_line
from gaia_checks.model import CriterionVerdict, State, Verdict

P, F, U, N = State.PASS, State.FAIL, State.INCONCLUSIVE, State.NOT_APPLICABLE


def verdict(state: State, *states: State) -> Verdict:
    """Return a verdict over criteria in these states."""
    criteria = [
        CriterionVerdict(f"dev.{number}", "Claim", each, "", None, None, 1, "ratio", 1, None)
        for number, each in enumerate(states)
    ]
    return Verdict("qa", "dev", "run-1", "2026-02-26T10:00:00.000Z", 65.2, state, False, None, tuple(criteria))


@pytest.mark.parametrize(
    ("judged", "exit_code", "line"),
    [
        (verdict(P, P, P), 0, "PASS (exit code 0): 2 of 2 criteria passed; report r.html"),
        (verdict(U, P, U), 8, "INCONCLUSIVE (exit code 8): 1 of 2 criteria passed, 1 undecided; report r.html"),
        (verdict(F, P, F, U), 1, "FAIL (exit code 1): 1 of 3 criteria passed, 1 failed, 1 undecided; report r.html"),
        (verdict(P, P, N), 0, "PASS (exit code 0): 1 of 1 applicable criteria passed, 1 not applicable; report r.html"),
        (
            verdict(U, N),
            8,
            "INCONCLUSIVE (exit code 8): 0 of 0 applicable criteria passed, 1 not applicable; report r.html",
        ),
        (verdict(U, P), 2, "INCONCLUSIVE (exit code 2, interrupted): 1 of 1 criteria passed; report r.html"),
        (verdict(P, P), 3, "INCONCLUSIVE (exit code 3, internal error): 1 of 1 criteria passed; report r.html"),
        (
            verdict(U, U),
            5,
            "INCONCLUSIVE (exit code 5, no criterion was selected): 0 of 1 criteria passed, 1 undecided; report r.html",
        ),
    ],
)
def test_the_line_has_verdict_exit_code_counts_and_report(judged: Verdict, exit_code: int, line: str) -> None:
    """In this order; no gate passes with an exit code of pytest itself."""
    assert last_line.of(judged, exit_code, Path("r.html")) == line


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        (1, "exit code 1"),
        (2, "exit code 2"),
        (3, "exit code 3"),
        (4, "exit code 4"),
        (5, "exit code 5"),
        (8, "exit code 8"),
    ],
)
def test_make_prints_the_exit_code_that_it_hides(tmp_path: Path, exit_code: int, words: str) -> None:
    """Make itself exits with 2 whenever a gate does not pass: the last line of its output has the gate's code."""
    done = make_gate(tmp_path, exit_code)
    assert done.returncode == 2
    assert words in done.stdout.splitlines()[-1]


def test_make_adds_nothing_to_a_gate_that_passed(tmp_path: Path) -> None:
    """The gate's last line stays the last."""
    done = make_gate(tmp_path, 0)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["the gate's last line"])


def make_gate(folder: Path, exit_code: int) -> "subprocess.CompletedProcess[str]":
    """Run `make gate` with a Python that exits with this code."""
    (folder / "python").write_text(f'#!/bin/sh\necho "the gate\'s last line"\nexit {exit_code}\n')
    (folder / "python").chmod(0o755)
    for name in (".installed", ".browser", "allure"):
        (folder / name).touch()
    # as from a shell: below another make it would print the directories that it enters and leaves
    shell = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(
        ("make", "gate", f"BIN={folder}", f"ALLURE={folder / 'allure'}", "--old-file=build/gaia_server"),
        cwd=ROOT, env=shell | {"LC_ALL": "C"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
