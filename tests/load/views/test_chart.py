"""Tests of the chart of a load: its contents, and that it is self-contained."""

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram

from gaia_checks import cli, jsonl
from gaia_checks.errors import EvidenceError
from gaia_checks.load.views import chart, chart_svg
from gaia_checks.load.views.chart import Mark
from gaia_checks.load.views.chart_svg import Panel, Series
from gaia_checks.model import timestamp
from tests.load.processes import server
from tests.load.test_run import load

BEGAN_S = 1_790_000_000


def histogram(*milliseconds: float) -> str:
    """Return an encoded histogram of some latencies."""
    made = HdrHistogram(1, 60_000_000, 3)
    for value in milliseconds:
        made.record_value(round(value * 1000))
    return str(made.encode().decode())


def second(done: int, failed: int = 0) -> dict[str, Any]:
    """Return the record of one second."""
    return {"t": 1, "of": 1, "worst": "", "intended": 10, "sent": done, "done": done, "failed": failed, "limited": 0}


def recorded(folder: Path, *seconds: tuple[dict[str, Any], str]) -> Path:
    """Write the files of a load."""
    (folder / "timelines").mkdir()
    lines = [f"#[BaseTime: {BEGAN_S}.000 (seconds since epoch)]", '"StartTimestamp"']
    for number, (record, latencies) in enumerate(seconds):
        jsonl.append(folder / chart.TIMELINE, record)
        lines.append(f"{number}.000,1.000,9.9,{latencies}")
    (folder / chart.LATENCY_LOG).write_text("\n".join(lines) + "\n")
    return folder


def test_a_real_load_is_drawn(tmp_path: Path) -> None:
    """The chart of a load on a server that stalls and fails has three panels and shows the stall."""
    with server(stall=[1, 1], fail=[3, 1]) as url:
        assert load(url, tmp_path, window_s=5) == 0
    chart.mark(tmp_path, "swap to <phase>")
    assert cli.run(["load", "chart", str(tmp_path)]) == 0
    page = (tmp_path / "load.html").read_text()
    pictures = [ET.fromstring(svg) for svg in re.findall("<svg.*?</svg>", page, re.DOTALL)]  # noqa: S314 - our own
    names = [[text.text for text in svg.iter("text") if text.get("class") == "name"] for svg in pictures]
    assert names == [
        ["max", "p99", "p90", "p50"],
        ["served", "offered"],
        ["never left", "left more than 10 ms late", "refused with 429", "failed"],
    ]
    assert "1,000 ms" in page
    assert "swap to <phase>" not in page


def test_the_page_is_self_contained() -> None:
    """The page contains no URL, and its content security policy forbids any."""
    page = chart.html("a <load>", chart.columns([second(2)], [(1.0, histogram(1, 2))]), [])
    assert "default-src 'none'" in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:,)|https?:|url\(|import """, page)
    assert "Load: a &lt;load&gt;" in page


def test_a_column_is_a_stretch_of_all_its_requests() -> None:
    """1,200 seconds become 600 columns with percentiles over all their requests and rates per second."""
    seconds = [second(3 if number % 2 else 1, failed=number % 2) for number in range(1200)]
    intervals = [(number + 1.0, histogram(*([100] * 3 if number % 2 else [1]))) for number in range(1200)]
    columns = chart.columns(seconds, intervals)
    assert (len(columns), columns[0].t_s, columns[-1].t_s) == (600, 2, 1200)
    assert columns[0].latency_ms["p50"] == pytest.approx(100, rel=1e-3)
    assert (columns[0].offered, columns[0].served, columns[0].failed, columns[0].unsent) == (10, 1.5, 0.5, 8)


def test_a_second_without_an_answer_is_a_gap() -> None:
    """A second without requests is a gap, and a single second between two gaps is a dot."""
    columns = chart.columns(
        [second(1), second(0), second(1), second(0)],
        [(1.0, histogram(5)), (2.0, histogram()), (3.0, histogram(7)), (4.0, histogram())],
    )
    assert [column.latency_ms["p99"] is None for column in columns] == [False, True, False, True]
    series = Series("p99", "ms", "#000", [column.latency_ms["p99"] for column in columns])
    drawn = chart_svg.panel(Panel("x", "ms", [series], 100), [1, 2, 3, 4], [], first=True, last=True)
    assert drawn.count("<polyline") == 2


def test_marks_stand_where_they_happened(tmp_path: Path) -> None:
    """Marks are converted to seconds of the load; those beyond it are omitted."""
    folder = recorded(tmp_path, *[(second(1), histogram(1))] * 10)
    for after_s, label in ((4.5, "swap"), (99, "later")):
        at = timestamp(datetime.fromtimestamp(BEGAN_S + after_s, UTC))
        jsonl.append(folder / chart.MARKS, {"at": at, "label": label})
    assert chart.marks(folder, BEGAN_S) == [Mark(4.5, "swap"), Mark(99, "later")]
    page = chart.write(folder).read_text()
    assert page.count('class="mark"') == 3
    assert page.count(">swap<") == 1
    assert ">later<" not in page


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0, 40.0], [1, 2, 5, 10, 20, 50, 100]),
        ([0.5, 9000.0], [0.1, 1, 10, 100, 1000, 10000]),
        ([10.0], [10, 20, 50, 100]),
        ([], [1, 2, 5, 10]),
        ([0.0], [1, 2, 5, 10]),
    ],
)
def test_latencies_are_drawn_over_powers_of_ten(values: list[float], expected: list[float]) -> None:
    """The logarithmic axis shows both a stall of seconds and a median of a millisecond."""
    assert chart_svg.decades(values) == pytest.approx(expected)


@pytest.mark.parametrize(("highest", "expected"), [(0, [0, 1]), (100, [0, 50, 100]), (7, [0, 2, 4, 6, 8])])
def test_rates_are_drawn_from_zero(highest: float, expected: list[float]) -> None:
    """The axis has round steps up to the first that is not below the highest value."""
    assert chart_svg.ticks(highest) == expected


@pytest.mark.parametrize("wrong", ["nothing", "no base time", "torn histogram", "bad mark"])
def test_a_folder_without_a_load_is_one_clear_line(wrong: str, tmp_path: Path) -> None:
    """The error names the file and the remedy."""
    if wrong != "nothing":
        recorded(tmp_path, (second(1), histogram(1)))
    log = tmp_path / chart.LATENCY_LOG
    if wrong == "no base time":
        log.write_text(log.read_text().split("\n", 1)[1])
    if wrong == "torn histogram":
        log.write_text(log.read_text()[:-20])
    if wrong == "bad mark":
        jsonl.append(tmp_path / chart.MARKS, {"when": "now"})
    with pytest.raises(EvidenceError) as error:
        chart.write(tmp_path)
    assert str(error.value).startswith(str(tmp_path))
    assert "\n" not in str(error.value)
