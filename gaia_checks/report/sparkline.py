"""One criterion over the last gates of its environment, as a small SVG. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from gaia_checks.model import Finding, State
from gaia_checks.report import charts, words
from gaia_checks.report.earlier_gates import PastGate

_COLUMN, _EDGE = 12, 4  # widths: of a gate, and of the picture's edge
_PLOT, _ROW = 30, 14  # heights: of the values, and of the marks of gates without one
_GREY, _BLACK, _BAND = "#5c6773", "#1b1f24", "#e4e8ed"
_COLORS = {
    State.PASS: "#1a7f37", State.FAIL: "#b3261e", State.INCONCLUSIVE: "#9a6700", State.NOT_APPLICABLE: "#4a525c",
}  # fmt: skip
_SHAPES = {
    State.PASS: "M-3.2,0a3.2,3.2 0 1,0 6.4,0a3.2,3.2 0 1,0 -6.4,0z",
    State.FAIL: "M-3.6,-3.6h7.2v7.2h-7.2z",
    State.INCONCLUSIVE: "M0,-4.2l4.2,7.4h-8.4z",
    State.NOT_APPLICABLE: "M-2.5,-0.8h5v1.6h-5z",
}
"""A shape per state: not everybody, and not every printer, distinguishes the colours."""


@dataclass(frozen=True, slots=True)
class PastValue:
    """What one gate measured for a criterion."""

    number: int  # of the gate, from 1
    gate: PastGate
    state: State  # of the criterion
    check: Finding | None  # the check that is shown; None where the gate did not make it

    @property
    def value(self) -> float | None:
        """What was measured, where it can be drawn."""
        return self.check.measured if self.check and charts.is_number(self.check.measured) else None

    @property
    def limit(self) -> float | None:
        """What was required, where it can be drawn."""
        return self.check.threshold if self.check and charts.is_number(self.check.threshold) else None

    @property
    def bound(self) -> float | None:
        """The side of the interval that was judged, where it can be drawn."""
        return self.check.bound if self.check and charts.is_number(self.check.bound) else None

    def is_comparable(self, other: "PastValue") -> bool:
        """Whether both were judged by the same criteria, and both or none in a rehearsal."""
        return (self.limit, self.gate.criteria, self.gate.verdict.rehearsal) == (
            other.limit,
            other.gate.criteria,
            other.gate.verdict.rehearsal,
        )


class _Scale:
    """Where gates and values stand in one picture. Thresholds and bounds fit in."""

    def __init__(self, values: Sequence[PastValue], gates: int) -> None:
        numbers = [each.value for each in values if each.value is not None]
        edges = [edge for each in values for edge in (each.limit, each.bound) if edge is not None and numbers]
        self._low, self._high = min([*numbers, *edges], default=0.0), max([*numbers, *edges], default=0.0)
        self._gates = gates
        self.width = 2 * _EDGE + _COLUMN * gates
        self._below = _PLOT + 3 * _EDGE if numbers else 0
        self.height = self._below + (_ROW if len(numbers) < len(values) else 0)

    def x(self, number: int) -> float:
        """Return the middle of a gate's column; the newest gate is at the right edge."""
        return self.width - _EDGE - _COLUMN * (self._gates - number + 0.5)

    def y(self, value: float | None) -> float:
        """Return the height of a value: the middle where all are equal, below all where there is none."""
        if value is None:
            return self._below + _ROW / 2
        span = self._high - self._low
        return 1.5 * _EDGE + _PLOT * ((self._high - value) / span if span else 0.5)


def draw(values: Sequence[PastValue], gates: Sequence[PastGate], label: str) -> str:
    """Return the SVG: a column per gate, and in it what was measured, its bound, and what was required."""
    scale = _Scale(values, len(gates))
    changed = [(a.number, b.number) for a, b in pairwise(values) if a.gate.criteria != b.gate.criteria]
    parts = (
        *_bands(gates, scale),
        *(_cut((scale.x(before) + scale.x(after)) / 2, scale.height) for before, after in changed),
        *_lines(values, scale),
        *(_marked(each, scale) for each in values),
    )
    return (
        f'<svg viewBox="0 0 {scale.width} {scale.height}" width="{scale.width}" height="{scale.height}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def key() -> list[tuple[str, str]]:
    """Return the signs of the pictures, 16 by 16, and what they mean."""
    return [
        *((_mark(state, 8, 8, hollow=False), str(state)) for state in State),
        (_mark(State.PASS, 8, 8, hollow=True), "hollow: rehearsal"),
        (_threshold(8, 8), "threshold"),
        (f'<path d="M8,14V2" stroke="{_GREY}"/>{_mark(State.PASS, 8, 12, hollow=False)}', "up to its bound"),
        (f'<rect width="16" height="16" fill="{_BAND}"/>', "another release"),
        (_cut(8, 16), "other criteria"),
    ]


def _bands(gates: Sequence[PastGate], scale: _Scale) -> list[str]:
    """Shade every second release."""
    shaded, parts = False, []
    column = f'width="{_COLUMN}" height="{scale.height}" fill="{_BAND}" shape-rendering="crispEdges"'
    for number, (before, gate) in enumerate(pairwise((gates[0], *gates)), 1):
        shaded ^= _executable(before) != _executable(gate)
        if shaded:
            parts.append(f'<rect x="{scale.x(number) - _COLUMN / 2:g}" {column}/>')
    return parts


def _executable(gate: PastGate) -> str | None:
    return gate.verdict.release.sha256 if gate.verdict.release else None


def _cut(x: float, height: float) -> str:
    return f'<path d="M{x:g},0V{height:g}" stroke="{_BLACK}" stroke-dasharray="1 3"/>'


def _lines(values: Sequence[PastValue], scale: _Scale) -> list[str]:
    """Draw thresholds, join values that can be compared, and each value with its bound."""
    drawn = [each for each in values if each.value is not None]
    joined = [
        f"M{scale.x(a.number):g},{scale.y(a.value):.1f}L{scale.x(b.number):g},{scale.y(b.value):.1f}"
        for a, b in pairwise(values)
        if a.value is not None and b.value is not None and a.is_comparable(b)
    ]
    joined += [
        f"M{scale.x(each.number):g},{scale.y(each.value):.1f}V{scale.y(each.bound):.1f}"
        for each in drawn
        if each.bound is not None
    ]
    limits = [_threshold(scale.x(each.number), scale.y(each.limit)) for each in drawn if each.limit is not None]
    return [*limits, f'<path d="{"".join(joined)}" fill="none" stroke="{_GREY}"/>'] if joined else limits


def _threshold(x: float, y: float) -> str:
    return f'<path d="M{x - _COLUMN / 2:g},{y:.1f}h{_COLUMN}" stroke="{_BLACK}" stroke-dasharray="4 2"/>'


def _marked(each: PastValue, scale: _Scale) -> str:
    """Return a gate's mark; a pointer over it shows the value."""
    value = f"{words.amount(each.value, each.check.unit)}, " if each.value is not None and each.check else ""
    other = ", by another check" if each.state is State.FAIL and each.check and each.check.state is State.PASS else ""
    title = f"{each.number}: {value}{each.state}{other}"
    mark = _mark(each.state, scale.x(each.number), scale.y(each.value), hollow=each.gate.verdict.rehearsal)
    return f"<g><title>{escape(title)}</title>{mark}</g>"


def _mark(state: State, x: float, y: float, *, hollow: bool) -> str:
    color = _COLORS[state]
    filled = f'fill="#ffffff" stroke="{color}" stroke-width="1.5"' if hollow else f'fill="{color}"'
    return f'<path d="{_SHAPES[state]}" transform="translate({x:g},{y:.1f})" {filled}/>'
