"""The gate over time in one picture."""

from pathlib import Path
from xml.etree import ElementTree as ET

from gaia_checks import jsonl
from gaia_checks.model import Measurement, State, Verdict
from gaia_checks.report import gate_chart

STARTED = "2026-02-26T10:00:00.000Z"


def measurement(name: str, window_s: float, at: str) -> Measurement:
    """What a look recorded at its end."""
    return Measurement(name, 1, "count", 1, window_s, f"2026-02-26T{at}.000Z", "measured")


def verdict(duration_s: float) -> Verdict:
    """A gate of this duration."""
    return Verdict("qa", "qa", "run", STARTED, duration_s, State.PASS, False, None, ())


def texts(svg: str) -> list[str]:
    """What can be read in a picture."""
    return ["".join(each.itertext()) for each in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314 - our own


def test_a_phase_is_as_long_as_its_look() -> None:
    """From the start of its longest measurement to the end of its last; an instant is no phase."""
    found = gate_chart.phases(
        [
            measurement("load.latency", 40, "10:01:40"),
            measurement("load.sent", 48, "10:01:48"),
            measurement("target.tls", 0, "10:00:05"),
        ],
        STARTED,
    )
    assert found == {"load": (60, 108)}


def test_both_loads_stand_on_the_axis_of_the_gate(tmp_path: Path) -> None:
    """A timeline starts where its look did, and between two loads no line is drawn."""
    for folder, slowest in ((tmp_path, 20), (tmp_path / "protection", 30)):
        (folder / "timelines").mkdir(parents=True)
        for second in range(10):
            jsonl.append(folder / "timelines" / "load.jsonl", {"t": second, "p99_ms": slowest})
        jsonl.append(folder / "timelines" / "load.jsonl", {"t": 9.5, "p99_ms": None})  # a second without an answer
    measured = [measurement("protection.sent", 10, "10:00:20"), measurement("load.sent", 10, "10:01:00")]
    svg = gate_chart.draw(tmp_path, verdict(60), measured)
    lines = ET.fromstring(svg).findall("{http://www.w3.org/2000/svg}polyline")  # noqa: S314 - our own
    starts = [float(line.attrib["points"].split(",")[0]) for line in lines]
    width = 985 - 90  # of the plot
    assert [round((start - 90) / width * 60) for start in starts] == [50, 10]
    assert {"load", "protection", "Latency\u25ac p99, at most 30"} <= set(texts(svg))
    assert not any("Memory" in text for text in texts(svg))


def test_a_load_that_was_extended_starts_with_its_first_sample(tmp_path: Path) -> None:
    """Its measurements are about the first analysis, and were made after the last sample."""
    (tmp_path / "timelines").mkdir()
    for second in (0, 20):
        jsonl.append(tmp_path / "timelines" / "load.jsonl", {"t": second, "p99_ms": 5})
    svg = gate_chart.draw(tmp_path, verdict(60), [measurement("load.sent", 10, "10:00:50")])
    line = ET.fromstring(svg).find("{http://www.w3.org/2000/svg}polyline")  # noqa: S314 - our own
    assert line is not None
    xs = [float(point.split(",")[0]) for point in line.attrib["points"].split()]
    assert [round((x - 90) / (985 - 90) * 60) for x in xs] == [30, 50]


def test_a_gate_that_measured_nothing_has_a_chart_too(tmp_path: Path) -> None:
    """Only its axis."""
    assert texts(gate_chart.draw(tmp_path, verdict(0), []))[0].startswith("Phases")
