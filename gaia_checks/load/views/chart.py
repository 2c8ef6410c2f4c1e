"""The chart of a load: latency percentiles, rate and failures over time. One self-contained HTML file.

    gaia load chart reports/local/latest

It is drawn from the files of every load, `latency.hlog` and `timelines/load.jsonl`, and from `marks.jsonl` if it
exists: notable events such as the swap to another release or the extension of the load.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gaia_checks import jsonl
from gaia_checks.errors import EvidenceError
from gaia_checks.judge.statistics import Latencies, decode
from gaia_checks.load.views.chart_svg import Panel, Series, page, panel

LATENCY_LOG = Path("latency.hlog")
TIMELINE = Path("timelines") / "load.jsonl"
MARKS = Path("marks.jsonl")
"""Lines of {"at": RFC 3339, "label": text}."""

CHART = Path("load.html")
"""The file that `write` creates."""

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0}

_COLUMNS = 600  # more would exceed the chart's resolution


@dataclass(frozen=True, slots=True)
class Mark:
    """A named event during the load."""

    t_s: float  # since the start of the load
    label: str


@dataclass(frozen=True, slots=True)
class Column:
    """One drawn interval of the load. Rates are per second; None: no request finished in it."""

    t_s: float  # its end
    latency_ms: Mapping[str, float | None]  # by the names of PERCENTILES
    offered: float
    served: float
    failed: float
    limited: float
    late: float
    unsent: float


def mark(folder: Path, label: str) -> None:
    """Record an event during a running load, for its chart."""
    jsonl.append(folder / MARKS, {"at": jsonl.now(), "label": label})


def write(folder: Path) -> Path:
    """Draw the load whose files are in `folder`; return the chart's path. Raises EvidenceError when there are none."""
    began_s, intervals = _intervals(folder / LATENCY_LOG)
    seconds = list(jsonl.read(folder / TIMELINE))
    if not seconds or not intervals:
        raise EvidenceError(f"{folder}: no load was recorded here; name a folder with {LATENCY_LOG} and {TIMELINE}")
    path = folder / CHART
    try:
        drawn = columns(seconds, intervals)
    except ValueError as error:
        raise _invalid_log(folder / LATENCY_LOG, error) from error
    path.write_text(html(folder.name, drawn, marks(folder, began_s)), encoding="utf-8")
    return path


def columns(seconds: Sequence[Mapping[str, Any]], intervals: Sequence[tuple[float, str]]) -> list[Column]:
    """Combine seconds and their encoded histograms into columns, several per column where there are too many. Pure.

    Percentiles of a column are those of all its requests, never means of percentiles.
    """
    size = math.ceil(max(len(seconds), len(intervals)) / _COLUMNS)
    drawn, before_s = [], 0.0
    for start in range(0, min(len(seconds), len(intervals)), size):
        counted, recorded = seconds[start : start + size], intervals[start : start + size]
        end_s = recorded[-1][0]
        latencies, length_s = Latencies(decode(text) for _, text in recorded), max(end_s - before_s, 1e-3)
        drawn.append(_column(counted, latencies, end_s, length_s))
        before_s = end_s
    return drawn


def _column(counted: Sequence[Mapping[str, Any]], latencies: Latencies, end_s: float, length_s: float) -> Column:
    def per_s(name: str) -> float:
        return sum(float(second.get(name, 0)) for second in counted) / length_s

    return Column(
        t_s=end_s,
        latency_ms={
            name: latencies.percentile_ms(percentile) if latencies.n else None
            for name, percentile in PERCENTILES.items()
        },
        offered=per_s("intended"),
        served=per_s("done") - per_s("failed"),
        failed=per_s("failed") - per_s("limited"),
        limited=per_s("limited"),
        late=per_s("late"),
        unsent=max(0.0, per_s("intended") - per_s("sent")),
    )


def marks(folder: Path, began_s: float) -> list[Mark]:
    """Return the marks in `folder`, in seconds since `began_s` (since the epoch). Raises EvidenceError."""
    try:
        return [
            Mark(datetime.fromisoformat(record["at"]).timestamp() - began_s, str(record["label"]))
            for record in jsonl.read(folder / MARKS)
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError(f"{folder / MARKS}: a line is not a mark ({error!r}); remove it") from error


def html(title: str, drawn: Sequence[Column], marked: Iterable[Mark]) -> str:
    """Return the whole page. Pure."""
    times, marked = [column.t_s for column in drawn], list(marked)
    panels = list(_panels(drawn))
    events = [(each.t_s, each.label) for each in marked if 0 <= each.t_s <= times[-1]]
    data = {
        "times": times,
        "panels": [[[series.name, series.unit, list(series.values)] for series in each.series] for each in panels],
    }
    charts = [panel(each, times, events, first=each is panels[0], last=each is panels[-1]) for each in panels]
    return page(title, _summary(drawn), charts, json.dumps(data, separators=(",", ":")))


def _panels(drawn: Sequence[Column]) -> Iterator[Panel]:
    def each(name: str) -> tuple[float | None, ...]:
        return tuple(getattr(column, name) for column in drawn)

    latencies = [
        Series(name, "ms", color, tuple(column.latency_ms[name] for column in drawn))
        for name, color in zip(PERCENTILES, ("#1f6feb", "#0c8599", "#d9480f", "#a61e4d"), strict=True)
    ]
    yield Panel("Latency, from when a request was due", "ms", latencies, height=300, logarithmic=True)
    rates = [
        Series("offered", "/s", "#868e96", each("offered")),
        Series("served", "/s", "#2b8a3e", each("served")),
    ]
    yield Panel("Requests per second", "/s", rates, height=130)
    wrong = [
        Series("failed", "/s", "#c92a2a", each("failed")),
        Series("refused with 429", "/s", "#e67700", each("limited")),
        Series("left more than 10 ms late", "/s", "#7048e8", each("late")),
        Series("never left", "/s", "#868e96", each("unsent")),
    ]
    yield Panel("Went wrong, per second", "/s", wrong, height=130)


def _summary(drawn: Sequence[Column]) -> str:
    highest = max((column.latency_ms["max"] or 0.0 for column in drawn), default=0.0)
    return f"{drawn[-1].t_s:,.0f} s of load; the slowest request took {highest:,.1f} ms"


def _intervals(path: Path) -> tuple[float, list[tuple[float, str]]]:
    """Read a histogram log: its start, in seconds since the epoch, and (end in s, histogram) of each interval.

    Histograms stay encoded: two hours of them would take more than a gigabyte.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise EvidenceError(f"{path}: cannot be read ({error.strerror}); name the folder of a load") from error
    try:
        began_s = next(float(line.split()[1]) for line in lines if line.startswith("#[BaseTime:"))
        rows = [line.split(",") for line in lines if line and line[0] not in '#"']
        return began_s, [(float(start) + float(length), text) for start, length, _, text in rows]
    except (StopIteration, ValueError) as error:
        raise _invalid_log(path, error) from error


def _invalid_log(path: Path, error: Exception) -> EvidenceError:
    return EvidenceError(f"{path}: not a histogram log of a load ({error}); run the load again")
