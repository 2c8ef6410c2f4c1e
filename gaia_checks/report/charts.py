"""Timelines as charts: one self-contained SVG per look and unit. Pure except `draw`, which reads the files.

A timeline's record is `{"t": seconds, "of": seconds, "worst": text, <name>_<unit>: number, ...}`; every
numeric field becomes a line, and fields of one unit share a chart.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard
from xml.sax.saxutils import escape

from gaia_checks import jsonl
from gaia_checks.report import words

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 760, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 744, 44, 222
_COLORS = ("#1f6feb", "#d9480f", "#2b8a3e", "#7048e8", "#c2255c", "#0c8599", "#5c6773")
_COLUMNS = 340  # more would exceed the chart's resolution
_TICKS = 5
_PER_ROW = 4  # names in a row of the legend
_UNITS = {"ms": "ms", "s": "s", "mb": "MB", "bytes": "bytes", "ratio": "share"}
_NOT_DRAWN = frozenset({"t", "of", "worst"})


def draw(timelines: Path) -> dict[str, dict[str, str]]:
    """Return look -> title -> SVG for every timeline with numbers. Raises EvidenceError for a damaged one."""
    return {path.stem: pictures(path.stem, jsonl.read(path)) for path in sorted(timelines.glob("*.jsonl"))}


def pictures(look: str, records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return title -> SVG: one chart per unit among the fields of `records`."""
    by_unit: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for record in records:
        for field, value in record.items():
            if field not in _NOT_DRAWN and is_number(value) and is_number(record.get("t")):
                name, unit = _split(field, value)
                by_unit.setdefault(unit, {}).setdefault(name or look, []).append((float(record["t"]), float(value)))
    return {
        _title(look, unit, series): chart(_title(look, unit, series), unit, series) for unit, series in by_unit.items()
    }


def chart(title: str, unit: str, series: Mapping[str, Points]) -> str:
    """Return an SVG of lines over seconds, with both axes from zero."""
    longest = max((t for points in series.values() for t, _ in points), default=0.0) or 1.0
    highest = max((value for points in series.values() for _, value in points), default=0.0)
    rows = ticks(highest)
    colors = [_COLORS[number % len(_COLORS)] for number in range(len(series))]
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 {-_legend_height(series)} {_WIDTH} '
        f'{_HEIGHT + _legend_height(series)}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="11" fill="#3b4149"><title>{escape(title)}</title>'
    )
    return "\n".join(
        (
            opening,
            f'<rect y="{-_legend_height(series)}" width="{_WIDTH}" height="100%" fill="#ffffff"/>',
            *_legend(series, colors),
            *(_row(value, rows[-1], unit) for value in rows),
            *(_column(value, longest) for value in ticks(longest) if value <= longest),
            *(_line(points, color, longest, rows[-1]) for points, color in zip(series.values(), colors, strict=True)),
            f'<text x="{_RIGHT}" y="{_BOTTOM + 32}" text-anchor="end">seconds since the start</text>',
            "</svg>\n",
        )
    )


def ticks(highest: float) -> list[float]:
    """Return round values from 0 to the first that is not below `highest`, about five steps apart."""
    step = _round_up(max(highest, 0.0) / _TICKS) if highest > 0 else 1.0
    return [step * number for number in range(max(1, math.ceil(highest / step - 1e-9)) + 1)]


def thin(points: Points, columns: int = _COLUMNS) -> Points:
    """Return at most two points per column of the chart, the lowest and highest, so that no spike is lost."""
    if len(points) <= 2 * columns:
        return points
    size = math.ceil(len(points) / columns)
    kept: list[tuple[float, float]] = []
    for start in range(0, len(points), size):
        column = points[start : start + size]
        extremes = {min(column, key=lambda point: point[1]), max(column, key=lambda point: point[1])}
        kept += sorted(extremes)
    return kept


def _round_up(step: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten."""
    magnitude = 10.0 ** math.floor(math.log10(step))
    return next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= step * (1 - 1e-9))


def _title(look: str, unit: str, series: Iterable[str]) -> str:
    names = [name for name in series if name != look]
    return (f"{look}: {', '.join(names)}" if names else look) + (f" ({unit})" if unit else "")


def _split(field: str, value: float) -> tuple[str, str]:
    """`p99_ms` -> `p99`, `ms`. A field without a unit is a count, or a share when it is not an integer."""
    name, _, unit = field.rpartition("_")
    if unit in _UNITS:
        return name.replace("_", " "), _UNITS[unit]
    return field.replace("_", " "), "share" if isinstance(value, float) else ""


def is_number(value: object) -> TypeGuard[float]:
    """Whether a field of a record can be drawn."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _line(points: Points, color: str, right: float, top: float) -> str:
    path = " ".join(f"{_x(t, right):.1f},{_y(value, top):.1f}" for t, value in thin(points))
    return f'<polyline fill="none" stroke="{color}" stroke-width="1.5" stroke-linejoin="round" points="{path}"/>'


def _x(t: float, right: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * t / right


def _y(value: float, top: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * value / top


def _row(value: float, top: float, unit: str) -> str:
    y = _y(value, top)
    label = f"{value:,.10g} {unit}".strip()
    return (
        f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e3e6ea"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    )


def _column(value: float, right: float) -> str:
    return f'<text x="{_x(value, right):.1f}" y="{_BOTTOM + 16}" text-anchor="middle">{value:,.10g}</text>'


def _legend_height(series: Mapping[str, Points]) -> int:
    return 18 * ((len(series) - 1) // _PER_ROW)


def _legend(series: Mapping[str, Points], colors: Sequence[str]) -> list[str]:
    width = (_RIGHT - _LEFT) / _PER_ROW
    drawn = []
    for number, ((name, points), color) in enumerate(zip(series.items(), colors, strict=True)):
        row, column = divmod(number, _PER_ROW)
        x, y = _LEFT + column * width, 22 - _legend_height(series) + 18 * row
        label = f"{name}, at most {words.number(max(value for _, value in points), 4)}"
        drawn.append(f'<rect x="{x:.0f}" y="{y - 6}" width="12" height="4" fill="{color}"/>')
        drawn.append(f'<text x="{x + 18:.0f}" y="{y}">{escape(label)}</text>')
    return drawn
