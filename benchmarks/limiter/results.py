"""Benchmark results: tables, promises with their bounds, and the same as JSON."""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

WIDTH = 150  # if the output is not a terminal


@dataclass(frozen=True, slots=True)
class Promise:
    """A bound on a figure."""

    text: str
    value: float
    at_least: float = -math.inf
    at_most: float = math.inf

    @property
    def kept(self) -> bool:
        """Whether the figure is within the bound."""
        return self.at_least <= self.value <= self.at_most

    @property
    def bound(self) -> str:
        """The bound as text."""
        return f"at most {self.at_most:g}" if self.at_least == -math.inf else f"at least {self.at_least:g}"


@dataclass(frozen=True, slots=True)
class Section:
    """One table and its promises."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    promises: Sequence[Promise]


def finish(sections: Sequence[Section], path: Path | None) -> None:
    """Print the tables and promises, write them as JSON to `path`, and exit: 0 when all are kept, else 1."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    for section in sections:
        console.print(_table(section.title, section.columns, section.rows))
    promises = [promise for section in sections for promise in section.promises]
    rows = [(one.text, f"{one.value:.3g}", one.bound, "kept" if one.kept else "BROKEN") for one in promises]
    console.print(_table("promises", ("promise", "measured", "bound", ""), rows))
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([_json(section) for section in sections], indent=1) + "\n")
        console.print(f"written to {path}")
    raise SystemExit(0 if all(promise.kept for promise in promises) else 1)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    for row in rows:
        table.add_row(*map(_cell, row))
    return table


def _cell(value: Any) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _json(section: Section) -> dict[str, Any]:
    promises = [
        {"promise": one.text, "value": one.value, "bound": one.bound, "kept": one.kept} for one in section.promises
    ]
    rows = [dict(zip(section.columns, row, strict=True)) for row in section.rows]
    return {"title": section.title, "rows": rows, "promises": promises}
