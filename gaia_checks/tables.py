"""What people see: a table on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_STYLES = {
    "ok": "green", "running": "green", "ended": "green", "pass": "green", "there": "green",
    "wrong": "bold red", "failed": "bold red", "fail": "bold red", "crashed": "bold red",
    "unknown": "yellow", "inconclusive": "yellow", "interrupted": "yellow", "open": "yellow", "warning": "yellow",
    "refused": "yellow", "gone": "yellow", "stopped": "yellow",
}  # fmt: skip


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


def show_facts(facts: Sequence[tuple[str, Any]]) -> None:
    """Print one fact per line, name first."""
    shown = [(name, _text(value)) for name, value in facts]
    console = Console(soft_wrap=True, highlight=False)
    for name, value in shown:
        console.print(Text.assemble((f"{name:12} ", "bold"), (value, _STYLES.get(value.partition(":")[0], ""))))


def _text(value: Any) -> str:
    """`-` for nothing, seconds with one digit, the parts of several values side by side."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, dict):
        return " ".join(_text(part) for part in value.values())
    return str(value)
