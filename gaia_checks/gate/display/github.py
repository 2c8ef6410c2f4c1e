"""A verdict in GitHub Actions: annotations of what did not pass, and verdict.md as the job's summary."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from gaia_checks.gate.display.next_steps import NextSteps
from gaia_checks.model import State, Verdict
from gaia_checks.printable import printable
from gaia_checks.report import page

_LEVELS = {State.FAIL: "error", State.INCONCLUSIVE: "warning"}


def annotations(verdict: Verdict, steps: NextSteps, variables: Mapping[str, str]) -> Iterator[str]:
    """Return a line per reason why criteria did not pass, failures first; none outside GitHub Actions.

    GitHub shows ten errors and ten warnings of a step.
    """
    if variables.get("GITHUB_ACTIONS") != "true":
        return
    grouped: dict[tuple[State, str], list[str]] = {}
    for criterion in sorted(verdict.criteria, key=lambda each: each.state is not State.FAIL):
        if criterion.state in _LEVELS:
            text = "\n".join(printable(part) for part in (page.reason(criterion), steps.of(criterion)) if part)
            grouped.setdefault((criterion.state, text), []).append(criterion.id)
    for (state, text), ids in grouped.items():
        title = f"{verdict.environment}: {', '.join(ids)}"
        yield f"::{_LEVELS[state]} title={_escaped(title, ':,')}::{_escaped(text)}"


def summarise(markdown: Path, variables: Mapping[str, str]) -> None:
    """Append a verdict.md to the job's summary, where there is one."""
    if summary := variables.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(markdown.read_text(encoding="utf-8") + "\n")


def _escaped(text: str, also: str = "") -> str:
    """Escape a message, or a property in which `also` has a meaning."""
    return "".join(f"%{ord(each):02X}" if each in "%\r\n" + also else each for each in text)
