"""The whole gate in one SVG: what ran when, and below it, on the same time axis, what the server did meanwhile."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from gaia_checks import jsonl
from gaia_checks.model import Measurement, Verdict
from gaia_checks.report import charts, words

Series = Mapping[str, Sequence[charts.Points]]
"""Name -> stretches of points; between two stretches nothing was measured."""

Read = Callable[[Path], list[dict[str, Any]]]

_WIDTH, _LEFT, _RIGHT = 1000, 90, 985
_PANEL, _PLOT, _LANE, _TOP = 132, 92, 17, 26
_LETTER = 6.2  # width of a character in a label
_SHORTEST_S = 1.0  # a shorter look is no phase
_NO_PHASES = frozenset({"machine", "gate", "log", "memory", "connections", "process", "restarts"})
_LOADS = frozenset({"load", "protection"})
_COLORS = ("#1f6feb", "#d9480f", "#2b8a3e")


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    unit: str
    lines: tuple[tuple[str, str, str], ...]  # name, look, field of its timeline


_PANELS = (
    _Panel("Latency", "ms", (("p50", "load", "p50_ms"), ("p99", "load", "p99_ms"))),
    _Panel("Rate", "per s", (("answered", "load", "done"), ("failed", "load", "failed"))),
    _Panel("Memory of the server", "MB", (("resident", "memory", "tree_mb"),)),
    _Panel(
        "Database connections",
        "",
        (("sessions", "connections", "sessions"), ("waiting for one", "connections", "pool_waiting")),
    ),
    _Panel("WebSocket gaps", "s", (("statistics", "soak", "stats_gap_s"), ("heartbeat", "soak", "heartbeat_gap_s"))),
)
_FOLDERS = (("", ""), ("protection", "protection"))  # where timelines are, and the look whose start is theirs


def draw(folder: Path, verdict: Verdict, measurements: Iterable[Measurement]) -> str:
    """Return the SVG. Raises EvidenceError for a damaged timeline."""
    read: Read = functools.cache(_records)  # one timeline has several lines of the chart
    spans = _from_first_sample(folder, read, phases(measurements, verdict.started_at))
    drawn = [(panel, series) for panel in _PANELS if (series := _series(folder, read, panel, spans))]
    return svg(verdict.duration_s, spans, [(panel.title, panel.unit, series) for panel, series in drawn])


def phases(measurements: Iterable[Measurement], started_at: str) -> dict[str, tuple[float, float]]:
    """Return look -> when it started and finished, in seconds since the start of the gate."""
    zero = datetime.fromisoformat(started_at)
    found: dict[str, tuple[float, float]] = {}
    for each in measurements:
        look = each.name.partition(".")[0]
        end = (datetime.fromisoformat(each.at) - zero).total_seconds()
        if each.window_s >= _SHORTEST_S:
            start, before = found.get(look, (end, end))
            found[look] = (max(0.0, min(start, end - each.window_s)), max(before, end))
    return found


def _records(timeline: Path) -> list[dict[str, Any]]:
    return list(jsonl.read(timeline)) if timeline.exists() else []


def _from_first_sample(
    folder: Path, read: Read, spans: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """Start a look where its samples did: a load that was extended is judged on a part of them."""
    last = {"protection": _last(read(folder / "protection" / "timelines" / "load.jsonl"))}
    last |= {look: _last(read(folder / "timelines" / f"{look}.jsonl")) for look in spans if look not in last}
    return {look: (max(0.0, min(start, end - last[look])), end) for look, (start, end) in spans.items()}


def _last(records: Iterable[Mapping[str, Any]]) -> float:
    return max((float(each.get("t", 0)) for each in records), default=0.0)


def svg(duration_s: float, spans: Mapping[str, tuple[float, float]], panels: Sequence[tuple[str, str, Series]]) -> str:
    """Return the phases, and below them the panels: title, unit, series. Pure."""
    right = max([duration_s, *(end for _, end in spans.values())]) or 1.0
    lanes = _lanes({look: span for look, span in spans.items() if look not in _NO_PHASES}, right)
    top = _TOP + _LANE * len(lanes) + 14
    height = top + _PANEL * len(panels) + 26
    loads = [span for look, span in spans.items() if look in _LOADS]
    bands = [_band(span, right, top, height - 26) for span in loads]
    axis = [
        f'<text x="{_x(each, right):.0f}" y="{height - 8}" text-anchor="middle">{words.duration(each)}</text>'
        for each in charts.ticks(right)
        if each <= right
    ]
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#3b4149">'
    )
    return "\n".join(
        (
            opening,
            f"<title>The gate over time: {escape(', '.join(title for title, _, _ in panels) or 'its phases')}</title>",
            f'<text x="{_LEFT}" y="14" font-weight="600">Phases (shaded: a load judges the server)</text>',
            *bands,
            *(part for number, lane in enumerate(lanes) for part in _bars(lane, right, _TOP + _LANE * number)),
            *(part for number, panel in enumerate(panels) for part in _panel(*panel, right, top + _PANEL * number)),
            *axis,
            "</svg>\n",
        )
    )


def _series(folder: Path, read: Read, panel: _Panel, spans: Mapping[str, tuple[float, float]]) -> Series:
    found: dict[str, list[charts.Points]] = {}
    for name, look, field in panel.lines:
        for below, start_of in _FOLDERS:
            start, _ = spans.get(start_of or look, (0.0, 0.0))
            points = [
                (start + each["t"], each[field])
                for each in read(folder / below / "timelines" / f"{look}.jsonl")
                if charts.is_number(each.get("t")) and charts.is_number(each.get(field))
            ]
            if points:
                found.setdefault(name, []).append(points)
    return found


def _lanes(spans: Mapping[str, tuple[float, float]], right: float) -> list[list[tuple[str, float, float]]]:
    """Return the phases in as few lanes as keep their names apart."""
    lanes: list[list[tuple[str, float, float]]] = []
    ends: list[float] = []
    for look, (start, end) in sorted(spans.items(), key=lambda item: item[1]):
        until = _x(end, right) + 10 + _LETTER * len(look)
        number = next((number for number, taken in enumerate(ends) if taken <= _x(start, right)), len(lanes))
        if number == len(lanes):
            lanes.append([])
            ends.append(0.0)
        lanes[number].append((look, start, end))
        ends[number] = until
    return lanes


def _bars(lane: Iterable[tuple[str, float, float]], right: float, y: float) -> list[str]:
    parts = []
    for look, start, end in lane:
        x, width = _x(start, right), max(2.0, _x(end, right) - _x(start, right))
        fits = width > _LETTER * len(look) + 8
        at = f'x="{x + 4:.0f}" fill="#ffffff"' if fits else f'x="{x + width + 4:.0f}"'
        color = "#0b4f9e" if look in _LOADS else "#5c6773"
        parts.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_LANE - 3}" rx="2" fill="{color}"/>')
        parts.append(f'<text {at} y="{y + 11}" font-size="11">{escape(look)}</text>')
    return parts


def _band(span: tuple[float, float], right: float, top: float, bottom: float) -> str:
    x, end = (_x(each, right) for each in span)
    return f'<rect x="{x:.1f}" y="{top - 6}" width="{end - x:.1f}" height="{bottom - top + 6}" fill="#e8f0fb"/>'


def _panel(title: str, unit: str, series: Series, right: float, y: float) -> list[str]:
    highest = max(value for stretches in series.values() for points in stretches for _, value in points)
    rows = charts.ticks(highest)
    bottom = y + 22 + _PLOT
    parts = [f'<text x="{_LEFT}" y="{y + 12}"><tspan font-weight="600">{escape(title)}</tspan>{_legend(series)}</text>']
    for value in (rows[0], rows[len(rows) // 2], rows[-1]):
        at = bottom - _PLOT * value / rows[-1]
        label = f"{value:,.10g} {unit}".strip()
        parts.append(f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#d5d9de"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{label}</text>')
    for color, stretches in zip(_COLORS, series.values(), strict=False):
        for points in stretches:
            path = " ".join(
                f"{_x(t, right):.1f},{bottom - _PLOT * value / rows[-1]:.1f}" for t, value in charts.thin(points)
            )
            parts.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.5" points="{path}"/>')
    return parts


def _legend(series: Series) -> str:
    """Return the names in the colours of their lines, each with its highest value."""
    return "".join(
        f'<tspan dx="14" fill="{color}">&#9644; {escape(name)}, at most '
        f"{words.number(max(value for points in stretches for _, value in points), 4)}</tspan>"
        for color, (name, stretches) in zip(_COLORS, series.items(), strict=False)
    )


def _x(t: float, right: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * t / right
