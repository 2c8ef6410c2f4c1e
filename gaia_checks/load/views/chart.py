"""A load as a picture: latency over time by percentile, rate, and what went wrong. One HTML file, nothing is fetched.

    gaia load chart reports/local/latest

It is drawn from what every load leaves, `latency.hlog` and `timelines/load.jsonl`, and from `marks.jsonl` where there
is one: moments that a reader should know of, such as the swap to another release or the extension of the look.
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
"""Where `write` puts the picture."""

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0}

_COLUMNS = 600  # more would be finer than the picture


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of the load that has a name."""

    t_s: float  # since the load began
    label: str


@dataclass(frozen=True, slots=True)
class Column:
    """One stretch of the load, as it is drawn. Rates are per second; None: nothing ended in it."""

    t_s: float  # its end
    latency_ms: Mapping[str, float | None]  # by the names of PERCENTILES
    offered: float
    served: float
    failed: float
    limited: float
    late: float
    unsent: float


def mark(folder: Path, label: str) -> None:
    """Note a moment beside a load that is under way, for its picture."""
    jsonl.append(folder / MARKS, {"at": jsonl.now(), "label": label})


def write(folder: Path) -> Path:
    """Draw the load whose files are in `folder`; return the picture. Raises EvidenceError when there are none."""
    began_s, intervals = _intervals(folder / LATENCY_LOG)
    seconds = list(jsonl.read(folder / TIMELINE))
    if not seconds or not intervals:
        raise EvidenceError(f"{folder}: no load was recorded here; give a folder with {LATENCY_LOG} and {TIMELINE}")
    path = folder / CHART
    try:
        drawn = columns(seconds, intervals)
    except ValueError as error:
        raise _no_log(folder / LATENCY_LOG, error) from error
    path.write_text(html(folder.name, drawn, marks(folder, began_s)), encoding="utf-8")
    return path


def columns(seconds: Sequence[Mapping[str, Any]], intervals: Sequence[tuple[float, str]]) -> list[Column]:
    """Put seconds and their encoded histograms together, several to a column where there are too many. Pure.

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
    """Return what was marked in `folder`, in seconds since `began_s` (since the epoch). Raises EvidenceError."""
    try:
        return [
            Mark(datetime.fromisoformat(record["at"]).timestamp() - began_s, str(record["label"]))
            for record in jsonl.read(folder / MARKS)
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError(f"{folder / MARKS}: a line is no mark ({error!r}); remove it") from error


def html(title: str, drawn: Sequence[Column], marked: Iterable[Mark]) -> str:
    """Return the whole page. Pure."""
    times, marked = [column.t_s for column in drawn], list(marked)
    panels = list(_panels(drawn))
    moments = [(each.t_s, each.label) for each in marked if 0 <= each.t_s <= times[-1]]
    data = {
        "times": times,
        "panels": [[[series.name, series.unit, list(series.values)] for series in each.series] for each in panels],
    }
    pictures = [panel(each, times, moments, first=each is panels[0], last=each is panels[-1]) for each in panels]
    return page(title, _summary(drawn), pictures, json.dumps(data, separators=(",", ":")))


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
    return f"{drawn[-1].t_s:,.0f} s of load; the slowest request took {highest:,.4g} ms"


def _intervals(path: Path) -> tuple[float, list[tuple[float, str]]]:
    """Read a histogram log: when it began, in seconds since the epoch, and (end in s, histogram) of each interval.

    Histograms stay encoded: two hours of them would take more than a gigabyte.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise EvidenceError(f"{path}: cannot be read ({error.strerror}); give the folder of a load") from error
    try:
        began_s = next(float(line.split()[1]) for line in lines if line.startswith("#[BaseTime:"))
        rows = [line.split(",") for line in lines if line and line[0] not in '#"']
        return began_s, [(float(start) + float(length), text) for start, length, _, text in rows]
    except (StopIteration, ValueError) as error:
        raise _no_log(path, error) from error


def _no_log(path: Path, error: Exception) -> EvidenceError:
    return EvidenceError(f"{path}: no histogram log of a load ({error}); run the load again")
