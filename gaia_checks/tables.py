"""Output for people: a table on a terminal, plain lines elsewhere."""

import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gaia_checks.printable import printable

_STYLES = {
    "ok": "green", "running": "green", "finished": "green", "pass": "green", "there": "green",
    "wrong": "bold red", "failed": "bold red", "fail": "bold red", "crashed": "bold red",
    "proven": "green", "signed": "green", "missing": "bold red", "forced": "yellow", "advisory": "yellow",
    "unknown": "yellow", "inconclusive": "yellow", "interrupted": "yellow", "open": "yellow", "warning": "yellow",
    "recovered": "yellow", "undone": "yellow", "refused": "yellow", "gone": "yellow", "stopped": "yellow",
}  # fmt: skip
_STATE_WIDTH = len("unknown") + 2
_TAGS = {None: "-", True: "there", False: "gone: it was deleted; its release still runs"}


def show(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under their heads; on a terminal as a table that fits its width."""
    cells = [[_text(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        table = Table(*head, header_style="bold", box=None, pad_edge=False)
        for row in cells:
            table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
        Console().print(table)
        return
    lines = [list(head), *cells]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        padded = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write(f"{padded.rstrip()}\n")


def show_findings(findings: Sequence[tuple[str, str, str, str | None]]) -> None:
    """Print check, state, finding and fix; on a terminal the fix below, wrapped at words.

    There a check that another one blocks shows no fix: it is the other one's.
    """
    if not sys.stdout.isatty():
        show(("check", "state", "finding", "fix"), findings)
        return
    console = Console(soft_wrap=True, highlight=False)
    width = max(2 * _STATE_WIDTH, shutil.get_terminal_size().columns - _STATE_WIDTH)
    for check, state, finding, fix in findings:
        texts = [f"{check}: {finding}", *([f"fix: {fix}"] if fix and state == "wrong" else ())]
        lines = [line for text in texts for line in _wrapped(printable(text), width)]
        for number, line in enumerate(lines):
            head = "" if number else state
            console.print(Text.assemble((f"{head:{_STATE_WIDTH}}", _STYLES.get(state, "")), line))


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def show_status(found: Mapping[str, Any]) -> None:
    """Print a status, one fact per line; hashes are shortened."""
    facts = {name: value for name, value in found.items() if name != "tag_present"}
    facts["tag"] = _TAGS[found["tag_present"]]
    console = Console(soft_wrap=True, highlight=False)
    for name, value in facts.items():
        shown = _release(value) if name in ("release", "previous") else _text(value)
        console.print(Text.assemble((f"{name:12} ", "bold"), (shown, _STYLES.get(shown.partition(":")[0], ""))))


def show_overview(lines: Sequence[tuple[str, str, str, str]]) -> None:
    """Print environment, what it is about, a state and what was found, one line each; a command stays in one piece."""
    console = Console(soft_wrap=True, highlight=False)
    widths = [max((len(line[column]) for line in lines), default=0) for column in range(3)]
    for environment, what, state, found in lines:
        console.print(
            Text.assemble(
                (f"{environment:{widths[0]}}  ", "bold"), f"{what:{widths[1]}}  ",
                (f"{state:{widths[2]}}  ", _STYLES.get(state, "")), printable(found),
            )
        )  # fmt: skip


def show_lines(lines: Sequence[tuple[str, str, bool | None]]) -> None:
    """Print what was found, one line each, with a mark: true, false, or proves nothing by itself."""
    console = Console(soft_wrap=True, highlight=False)
    for what, found, ok in lines:
        mark, style = {True: ("✓", "green"), False: ("✗", "bold red"), None: ("·", "")}[ok]
        console.print(
            Text.assemble((f"{mark} ", style), (f"{what:13} ", "bold"), (found, style if ok is False else ""))
        )


def _release(release: Mapping[str, str | None] | None) -> str:
    if release is None:
        return "-"
    return f"{release['phase']}, commit {(release['commit'] or '-')[:12]}, sha256 {(release['sha256'] or '-')[:12]}"


def _text(value: Any) -> str:
    """`-` for nothing, seconds with one digit."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.1f}"
    return printable(str(value))
