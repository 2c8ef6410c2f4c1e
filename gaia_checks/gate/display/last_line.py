"""The last line of a gate's output: the verdict, its exit code, and where the report is. Pure."""

from pathlib import Path

import pytest

from gaia_checks.gate.run.session import EXIT_CODES
from gaia_checks.model import State, Verdict
from gaia_checks.report import words

_REASONS: dict[int, str] = {
    pytest.ExitCode.INTERRUPTED: ", interrupted",
    pytest.ExitCode.INTERNAL_ERROR: ", internal error",
    pytest.ExitCode.USAGE_ERROR: ", wrong usage",
    pytest.ExitCode.NO_TESTS_COLLECTED: ", no criterion was selected",
}
"""Exit codes of pytest itself -> what stands beside the code."""


def of(verdict: Verdict, exit_code: int, report: Path) -> str:
    """Return the line for a verdict: `PASS (exit code 0): 19 of 19 criteria passed; report reports/...`."""
    states = [criterion.state for criterion in verdict.criteria]
    counted = [words.passed(verdict.criteria)]
    counted += [f"{failed} failed"] if (failed := states.count(State.FAIL)) else []
    counted += [f"{undecided} undecided"] if (undecided := states.count(State.INCONCLUSIVE)) else []
    counted += [f"{inapplicable} not applicable"] if (inapplicable := states.count(State.NOT_APPLICABLE)) else []
    return f"{_head(verdict.state, exit_code)}: {', '.join(counted)}; report {report}"


def no_verdict(why: str, exit_code: int) -> str:
    """Return the line for a gate without a verdict."""
    return f"{_head(State.INCONCLUSIVE, exit_code)}: {' '.join(why.split())}"


def _head(state: State, exit_code: int) -> str:
    """Return state and exit code. With an exit code of pytest itself no gate passes."""
    if state is State.PASS and exit_code != EXIT_CODES[State.PASS]:
        state = State.INCONCLUSIVE
    return f"{state.upper()} (exit code {int(exit_code)}{_REASONS.get(exit_code, '')})"
