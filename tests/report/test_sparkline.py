"""One criterion over the last gates, as a picture."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from gaia_checks.model import Finding, State
from gaia_checks.report import earlier_gates, sparkline
from gaia_checks.report.earlier_gates import PastGate
from gaia_checks.report.sparkline import PastValue
from tests.report import past


@pytest.fixture
def gate(tmp_path: Path) -> PastGate:
    """A gate."""
    return earlier_gates.read(*past.gate(tmp_path, 0)).gates[0]


def check(measured: float | None, *, threshold: float = 100, bound: float | None = None) -> Finding:
    """A latency."""
    return Finding("load.latency", State.PASS, "why", measured, bound, threshold, "ms", 30, None, "≤")


def picture(*values: tuple[PastGate, State, Finding | None]) -> str:
    """Draw one value per gate."""
    points = [PastValue(number, *each) for number, each in enumerate(values, 1)]
    return sparkline.draw(points, [each.gate for each in points], "Fast: pass")


def heights(svg: str) -> list[float]:
    """The heights of the gates' marks, from the top."""
    return [float(y) for y in re.findall(r"translate\([\d.]+,([\d.]+)\)", svg)]


def test_every_state_has_a_shape_and_a_colour_of_its_own(gate: PastGate) -> None:
    """A print without colours shows the states, too."""
    marks = [re.findall(r'<path d="([^"]+)" transform.* fill="([^"]+)"', picture((gate, each, None))) for each in State]
    shapes, colors = zip(*(mark for [mark] in marks), strict=True)
    assert len(set(shapes)) == len(set(colors)) == len(State)


def test_a_rehearsal_is_hollow(gate: PastGate) -> None:
    """Its windows and rates are smaller than those of a gate."""
    rehearsal = replace(gate, verdict=replace(gate.verdict, rehearsal=True))
    full, hollow = picture((gate, State.PASS, None)), picture((rehearsal, State.PASS, None))
    assert ('fill="#ffffff"' in full, 'fill="#ffffff"' in hollow) == (False, True)


def test_a_higher_value_stands_higher_and_all_fits(gate: PastGate) -> None:
    """Thresholds and bounds included."""
    svg = picture((gate, State.PASS, check(13.0, bound=15.0)), (gate, State.FAIL, check(140.0, bound=190.0)))
    low, high = heights(svg)
    assert high < low
    [limit, _] = [float(y) for y in re.findall(r"M[\d.]+,([\d.]+)h12", svg)]
    assert high < limit < low
    [height] = re.findall(r'viewBox="0 0 \d+ (\d+)"', svg)
    drawn = [*heights(svg), *(float(y) for y in re.findall(r"V([\d.]+)", svg))]
    assert all(4 <= y <= float(height) - 4 for y in drawn)


def test_equal_values_are_in_the_middle(gate: PastGate) -> None:
    """Also where they are the threshold."""
    svg = picture(*[(gate, State.PASS, check(0, threshold=0))] * 2)
    assert heights(svg) == [21.0, 21.0]


@pytest.mark.parametrize(
    ("other", "rehearsal", "threshold", "joined", "cut"),
    [(False, False, 100, 1, 0), (True, False, 100, 0, 1), (True, False, 50, 0, 1), (False, True, 100, 0, 0)],
)
def test_only_values_that_compare_are_joined(
    gate: PastGate, threshold: float, joined: int, cut: int, *, other: bool, rehearsal: bool
) -> None:
    """Other criteria are marked between the gates."""
    criteria = ("other", None) if other else gate.criteria
    before = replace(gate, criteria=criteria, verdict=replace(gate.verdict, rehearsal=rehearsal))
    svg = picture((before, State.PASS, check(13.0, threshold=threshold)), (gate, State.PASS, check(14.0)))
    assert (len(re.findall(r"M[\d.]+,[\d.]+L", svg)), svg.count('stroke-dasharray="1 3"')) == (joined, cut)


def test_a_gate_without_a_value_stands_below_and_breaks_the_line(gate: PastGate) -> None:
    """It was not measured, which is no value of zero."""
    svg = picture(
        (gate, State.PASS, check(13.0)), (gate, State.INCONCLUSIVE, check(None)), (gate, State.PASS, check(14.0))
    )
    first, without, last = heights(svg)
    assert without > max(first, last) + 8
    assert "L" not in "".join(re.findall(r' d="(M[^"]+)" fill="none"', svg))


def test_every_second_release_is_shaded(gate: PastGate) -> None:
    """By the executable: one commit may be built twice."""
    other = replace(gate, verdict=replace(gate.verdict, release=None))
    svg = picture(*((each, State.PASS, check(1.0)) for each in (gate, gate, other, other, gate)))
    columns = [float(x) + 6 for x in re.findall(r'<rect x="([\d.]+)"', svg)]
    places = [float(x) for x in re.findall(r"translate\(([\d.]+),", svg)]
    assert columns == places[2:4]


def test_a_pointer_shows_the_value(gate: PastGate) -> None:
    """And whether another check failed than the one that is shown."""
    svg = picture((gate, State.PASS, check(13.0)), (gate, State.FAIL, check(14.0)))
    assert re.findall(r"<title>([^<]+)</title>", svg) == ["1: 13 ms, pass", "2: 14 ms, fail, by another check"]
