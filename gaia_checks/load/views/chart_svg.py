"""Draws a load's chart: line panels as SVG in one self-contained page. Pure."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

_PAGE = Path(__file__).with_name("chart.html")
_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 1100, 74, 1086, 34, 8
_AXIS = 22  # below the last panel, for the seconds
_LABEL = 6.3  # width of a letter in a mark's label


@dataclass(frozen=True, slots=True)
class Series:
    """One line: a value per column, None for a gap."""

    name: str
    unit: str
    color: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines that share an axis."""

    title: str
    unit: str
    series: Sequence[Series]
    height: int
    logarithmic: bool = False


def panel(drawn: Panel, times: Sequence[float], marks: Sequence[tuple[float, str]], *, first: bool, last: bool) -> str:
    """Return one panel as SVG; the first one labels the marks, the last one carries the time axis."""
    values = [value for series in drawn.series for value in series.values if value is not None]
    rows = decades(values) if drawn.logarithmic else ticks(max(values, default=0.0))
    scale = _Scale(rows[0], rows[-1], drawn.height, drawn.logarithmic)
    height = drawn.height + (_AXIS if last else 0)
    return "\n".join(
        (
            f'<svg class="panel" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(drawn.title)}">',
            f'<text class="title" x="{_LEFT}" y="16">{escape(drawn.title)}</text>',
            *_legend(drawn),
            *(_row(value, scale, drawn.unit) for value in rows),
            *_columns(times[-1], drawn.height, named=last),
            *_marks(marks, times[-1], drawn.height, named=first),
            *(_lines(series, times, scale) for series in drawn.series),
            f'<line class="cursor" y1="{_TOP}" y2="{drawn.height - _BOTTOM}"/>',
            "</svg>",
        )
    )


def ticks(highest: float) -> list[float]:
    """Return round values from 0 to the first that is not below `highest`, about four steps apart."""
    if highest <= 0:
        return [0.0, 1.0]
    raw = highest / 4
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= raw * (1 - 1e-9))
    return [step * number for number in range(math.ceil(highest / step - 1e-9) + 1)]


def decades(values: Iterable[float]) -> list[float]:
    """Return the powers of ten around all values, with 2 and 5 between them if space allows."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    high = max(high, low + 1)
    within = (1, 2, 5) if high - low <= 3 else (1,)
    return [factor * 10.0**power for power in range(low, high) for factor in within] + [10.0**high]


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    height: int
    logarithmic: bool

    def y(self, value: float) -> float:
        bottom, top = self.height - _BOTTOM, _TOP
        if self.logarithmic:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = value / self.high
        return bottom - (bottom - top) * share


def _x(t_s: float, longest_s: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * t_s / longest_s


def _lines(series: Series, times: Sequence[float], scale: _Scale) -> str:
    """Draw the line of a series, with gaps where values are missing; a value between two gaps is a dot."""
    runs: list[list[str]] = [[]]
    for t_s, value in zip(times, series.values, strict=True):
        if value is None:
            runs.append([])
        else:
            runs[-1].append(f"{_x(t_s, times[-1]):.1f},{scale.y(value):.1f}")
    pieces = (run * 2 if len(run) == 1 else run for run in runs if run)
    return "".join(f'<polyline stroke="{series.color}" points="{" ".join(piece)}"/>' for piece in pieces)


def _row(value: float, scale: _Scale, unit: str) -> str:
    y = scale.y(value)
    return (
        f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:,.10g} {unit}</text>'
    )


def _columns(longest_s: float, height: int, *, named: bool) -> Iterator[str]:
    step = ticks(longest_s / 2)[1]
    for number in range(int(longest_s / step + 1e-9) + 1):
        x = _x(number * step, longest_s)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{height - _BOTTOM}"/>'
        if named:
            yield f'<text class="tick" x="{x:.1f}" y="{height + 8}" text-anchor="middle">{number * step:,.10g} s</text>'


def _marks(marks: Sequence[tuple[float, str]], longest_s: float, height: int, *, named: bool) -> Iterator[str]:
    """Draw the marks; a label that would overlap the previous one moves one line down."""
    free = [0.0] * 4  # where each line of labels ends
    for t_s, label in sorted(marks):
        x, width = _x(t_s, longest_s), _LABEL * len(label)
        left = x + 4 if x + 4 + width < _RIGHT else x - 4 - width
        row = next((number for number, end in enumerate(free) if end <= left), len(free) - 1)
        free[row] = left + width + 6
        yield f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{height - _BOTTOM}"/>'
        if named:
            yield f'<text class="label" x="{left:.1f}" y="{_TOP + 12 + 14 * row}">{escape(label)}</text>'


def _legend(drawn: Panel) -> Iterator[str]:
    x = float(_RIGHT)
    for series in reversed(drawn.series):
        x -= 30 + 6.4 * len(series.name)
        yield f'<rect x="{x:.0f}" y="9" width="14" height="4" rx="2" fill="{series.color}"/>'
        yield f'<text class="name" x="{x + 19:.0f}" y="15">{escape(series.name)}</text>'


def page(title: str, summary: str, panels: Sequence[str], data: str) -> str:
    """Return the whole page; `data` is JSON for the values shown under the pointer."""
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(
        title=escape(title),
        summary=escape(summary),
        panels="\n".join(panels),
        data=data.replace("</", "<\\/"),
        width=_WIDTH,
        left=_LEFT,
        right=_RIGHT,
    )
