"""Timelines as pictures."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from gaia_checks import jsonl
from gaia_checks.report import charts

SVG = "{http://www.w3.org/2000/svg}"


def lines(svg: str) -> list[list[tuple[float, float]]]:
    """Return the points of every line of a picture."""
    found = ET.fromstring(svg).findall(f"{SVG}polyline")  # noqa: S314 - our own picture
    return [[tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()] for line in found]  # type: ignore[misc]


def texts(svg: str) -> list[str]:
    """Return all texts of a picture."""
    return [text.text or "" for text in ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 - our own picture


@pytest.mark.parametrize(
    ("highest", "expected"),
    [
        (0, [0, 1]),
        (1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (60, [0, 20, 40, 60]),
        (61, [0, 20, 40, 60, 80]),
        (1800, [0, 500, 1000, 1500, 2000]),
        (0.0123, [0, 0.005, 0.01, 0.015]),
    ],
)
def test_an_axis_has_round_numbers(highest: float, expected: list[float]) -> None:
    """From zero to the first round number that nothing exceeds."""
    assert charts.ticks(highest) == pytest.approx(expected)


def test_fields_of_one_unit_share_a_picture() -> None:
    """Latencies together, memory on its own; texts and clocks are no lines."""
    records = [
        {"t": t, "of": 9, "worst": "x", "p50_ms": 1, "p99_ms": 2 + t, "mb": 80, "failed": 0, "cpu": 0.1, "up": True}
        for t in range(3)
    ]
    drawn = charts.pictures("load", records)
    assert list(drawn) == ["load: p50, p99 (ms)", "load (MB)", "load: failed", "load: cpu (share)"]
    assert [len(lines(svg)) for svg in drawn.values()] == [2, 1, 1, 1]
    assert "p99, at most 4" in texts(drawn["load: p50, p99 (ms)"])


def test_a_line_shows_the_values() -> None:
    """Zero is at the bottom, more is higher, later is further right."""
    (line,) = lines(charts.chart("x", "ms", {"x": [(0, 0), (5, 10), (10, 5)]}))
    (x0, y0), (x1, y1), (x2, y2) = line
    assert x0 < x1 < x2
    assert y0 > y2 > y1
    assert y0 - y2 == pytest.approx((y0 - y1) / 2, abs=0.2)


def test_a_spike_survives_thinning() -> None:
    """Thinning keeps the extremes: one bad second of an hour stays visible."""
    points = [(float(t), 1000.0 if t == 1777 else 1.0) for t in range(3600)]
    thinned = charts.thin(points)
    assert len(thinned) <= 700
    assert (1777.0, 1000.0) in thinned
    assert [t for t, _ in thinned] == sorted(t for t, _ in thinned)


def test_a_name_cannot_break_the_picture() -> None:
    """Markup in a field's name is text."""
    assert "<b>&, at most 1" in texts(charts.chart("<b>", "", {"<b>&": [(0, 1)]}))


def test_every_timeline_of_a_folder_is_drawn(tmp_path: Path) -> None:
    """One without numbers gives no picture, a torn last line is left out, and nothing reaches outside."""
    for t in range(3):
        jsonl.append(tmp_path / "memory.jsonl", {"t": t, "of": 3, "worst": "80 MB", "resident_mb": 80 + t})
        jsonl.append(tmp_path / "log.jsonl", {"t": t, "of": 3, "worst": "none"})
    with (tmp_path / "memory.jsonl").open("a") as file:
        file.write('{"t": 4, "resi')
    drawn = charts.draw(tmp_path)
    assert {look: list(pictures) for look, pictures in drawn.items()} == {
        "log": [],
        "memory": ["memory: resident (MB)"],
    }
    assert "href" not in drawn["memory"]["memory: resident (MB)"]


def test_an_empty_picture_is_still_one() -> None:
    """One sample at the very start, or only zeros, divides by nothing."""
    assert lines(charts.chart("x", "", {"x": [(0, 0)]})) == [[(64.0, 222.0)]]
