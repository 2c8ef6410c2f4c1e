"""A verdict on a terminal or in a pipe: what failed stands first and last, the table of all criteria between.

On a terminal every line fits its width; in a pipe nothing is cut, so that it can be searched.
"""

from collections.abc import Iterable
from pathlib import Path

from rich import markup
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gaia_checks.gate.display.next_steps import NextSteps
from gaia_checks.model import CriterionVerdict, State, Verdict
from gaia_checks.printable import printable
from gaia_checks.report import page, words

STYLES = {State.PASS: "green", State.FAIL: "bold red", State.INCONCLUSIVE: "yellow", State.NOT_APPLICABLE: "dim"}

_CLAIM = 100  # columns from which the table has claims
_WHOLE = 140  # columns from which, as in a pipe, a claim has one line
_WIDE = 160  # columns from which the table has reasons
_NAMED = 3  # criteria that a reason on a terminal names; more are counted, the table names them
_SAME = "(same)"


def show(on: Console, verdict: Verdict, steps: NextSteps) -> None:
    """Write a verdict and its next steps."""
    failed = [each for each in verdict.criteria if each.state is State.FAIL]
    on.print()
    if failed:
        _print_verdict(on, verdict, failed, steps)
        on.print()
    on.print(table(verdict, on.width))
    for remark in verdict.remarks:
        on.print(f"[dim]{escape(remark)}[/]")
    on.print()
    for line in undecided(verdict, steps, None if on.soft_wrap else _NAMED):
        on.print(line)
    _print_verdict(on, verdict, failed, steps, last=True)


def _print_verdict(
    on: Console, verdict: Verdict, failed: Iterable[CriterionVerdict], steps: NextSteps, *, last: bool = False
) -> None:
    """Write the headline and what failed below it; at the end above it."""
    mark = f"[{STYLES[verdict.state]}]{words.MARKS[verdict.state]} {verdict.state.upper()}[/]"
    line = f"{mark}  {escape(headline(verdict))}"
    if not last:
        on.print(line)
    for criterion in failed:
        for text in failure(criterion, steps, None if on.soft_wrap else on.width):
            on.print(text)
    if last:
        on.print(line)


def failure(criterion: CriterionVerdict, steps: NextSteps, width: int | None) -> list[Text]:
    """Return a failed criterion: what was measured and allowed, why, where it passed last, and what to do next."""
    last = steps.passed_last(criterion)
    measured, bound, threshold, n = words.columns(criterion)
    details = ", ".join(
        (*((f"bound {bound}",) if criterion.bound is not None else ()), *((f"n {n}",) if criterion.n else ()))
    )
    figures = f"measured {measured}{f' ({details})' if details else ''}, threshold {threshold}"
    lines = [
        Text.assemble(
            (f"{words.MARKS[criterion.state]} {criterion.id}", STYLES[criterion.state]),
            f": {printable(figures)}: {printable(criterion.claim)}",
        ),
        Text.assemble(("  why   ", "dim"), fitted(printable(page.reason(criterion)), width and width - 8)),
        *([Text.assemble(("  last  ", "dim"), f"passed last in {printable(last)}")] if last else []),
        Text.assemble(("  next  ", "dim"), printable(steps.of(criterion) or "")),
    ]
    for line in lines:
        if width is not None:
            line.truncate(width, overflow="ellipsis")
    return lines


def fitted(why: str, width: int | None) -> str:
    """Return a reason that fits: of many wrong ones the worst alone, and its beginning and end if that is too long."""
    if width is None or len(why) <= width:
        return why
    worst = why.partition("; worst: ")[2] or why
    if len(worst) <= width:
        return worst
    head = (width - 3) // 2
    return f"{worst[:head]} … {worst[head + 3 - width :]}"


def table(verdict: Verdict, width: int) -> Table:
    """Build the verdict table for `width` columns: criterion, claim, measured, bound, threshold, n, state.

    Below 100 columns there is no claim, so that no word is broken; from 160 on the reason stands beside the state, and
    two spaces between columns.
    """
    grid = Table(box=None, pad_edge=False, header_style="dim", expand=False, collapse_padding=width < _WIDE)
    grid.add_column("criterion", no_wrap=True)
    if width >= _CLAIM:
        grid.add_column("claim", max_width=None if width >= _WHOLE else 44)
    for name in ("measured", "bound", "threshold", "n"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("state", no_wrap=True)
    if width >= _WIDE:
        grid.add_column("why")
    written: set[str] = set()
    for criterion in verdict.criteria:
        state = Text(f"{words.MARKS[criterion.state]} {criterion.state}", STYLES[criterion.state])
        claim = (criterion.claim,) if width >= _CLAIM else ()
        why = "" if criterion.state is State.PASS else printable(page.reason(criterion))
        shown = Text(_SAME if why in written else why, STYLES[criterion.state])
        written |= {why} - {""}
        grid.add_row(criterion.id, *claim, *words.columns(criterion), state, *((shown,) if width >= _WIDE else ()))
    return grid


def undecided(verdict: Verdict, steps: NextSteps, named: int | None = None) -> list[Text]:
    """Return why criteria neither passed nor failed, and what would decide; criteria with one reason share a line.

    More than `named` criteria are counted.
    """
    grouped: dict[tuple[State, str, str | None], list[str]] = {}
    for criterion in verdict.criteria:
        if criterion.state in (State.INCONCLUSIVE, State.NOT_APPLICABLE):
            step = steps.of(criterion) if criterion.state is State.INCONCLUSIVE else None
            grouped.setdefault((criterion.state, page.reason(criterion), step), []).append(criterion.id)
    lines = []
    for (state, reason, step), ids in grouped.items():
        which = ", ".join(ids) if named is None or len(ids) <= named else f"{len(ids)} criteria"
        lines.append(Text(f"{words.MARKS[state]} {which}: {printable(reason)}", STYLES[state]))
        lines += [Text.assemble(("  next  ", "dim"), printable(step))] if step else []
    return lines


def headline(verdict: Verdict) -> str:
    """Return the meaning of the verdict in one sentence."""
    release = f" of {verdict.release.phase} ({verdict.release.sha256[:12]})" if verdict.release else ""
    text = (
        f"{words.passed(verdict.criteria, f' of stage {verdict.stage}')} on {verdict.environment}"
        f"{release} after {words.duration(verdict.duration_s)}"
    )
    return text + ("; a rehearsal promotes nothing" if verdict.rehearsal else "")


def escape(text: str) -> str:
    """Return text of others so that neither rich nor the terminal obeys it."""
    return markup.escape(printable(text))


def short(path: Path) -> Path:
    """Return a path relative to the working directory if it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
