"""Tests of the comparison: each tool's format is read, and missing values are not estimated."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram

from gaia_checks import cli
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import ConfigurationError
from gaia_checks.load.views import compare
from tests.load.processes import server

K6 = {
    "http_reqs": {"count": 6000, "rate": 99.98},
    "http_req_duration": {"avg": 3.1, "min": 1.0, "med": 2.5, "max": 41.0, "p(90)": 5.5, "p(95)": 7.25},
}
TRENDS = {"p(50)": 2.25, "p(99)": 11.5, "p(99.9)": 33.0}

STATS = (
    "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,"
    "Max Response Time,Average Content Size,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%\n"
    "GET,/health,500,1,3,4.5,1,950,100,10.0,0.1,3,4,4,5,9,40,120,320,950,950,950\n"
    ",Aggregated,1000,2,3,4.5,1,950,100,20.0,0.2,3,4,4,5,9,40,120,320,950,950,950\n"
)


def ours(folder: Path, **changes: Any) -> Path:
    """Write the result of a gaia load: 990 requests of 2 ms, 10 of 150 ms, one of them failed."""
    histogram = HdrHistogram(1, 60_000_000, 3)
    histogram.record_value(2_000, 990)
    histogram.record_value(150_000, 10)
    result = {"done": 1000, "failed": 1, "window_s": 10.0, "latency": histogram.encode().decode(), **changes}
    folder.mkdir(exist_ok=True)
    (folder / "load.json").write_text(json.dumps(result))
    return folder


def written(path: Path, text: object) -> Path:
    """Write a file: JSON, or text as it is."""
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def test_a_load_of_ours_is_read_from_its_folder(tmp_path: Path) -> None:
    """Rate, success and percentiles are computed from the counts and the histogram."""
    read = compare.read(ours(tmp_path / "run"))
    assert (read.tool, read.requests, read.rate_per_s, read.success) == ("gaia", 1000, 100.0, 0.999)
    assert read.latency_ms == {50: 2.001, 90: 2.001, 95: 2.001, 99: 2.001, 99.9: pytest.approx(150, rel=1e-3)}


@pytest.mark.parametrize(
    "document",
    [
        {"metrics": {**K6, "http_req_failed": {"passes": 3, "fails": 5997, "value": 0.0005}}},
        {
            "metrics": {
                **{name: {"type": "x", "contains": "time", "values": values} for name, values in K6.items()},
                "http_req_failed": {"type": "rate", "values": {"rate": 0.0005, "passes": 3, "fails": 5997}},
            },
            "state": {"testRunDurationMs": 60_000},
        },
        {
            "version": "1.0.0",
            "config": {"duration": 6000 / 99.98, "execution": "local"},
            "results": {
                "metrics": [
                    {"name": "http_reqs", "type": "counter", "contains": "default", "values": {"count": 6000}},
                    {"name": "http_req_duration", "type": "trend", "values": K6["http_req_duration"]},
                    {"name": "http_req_failed", "values": {"matches": 3, "rate": 0.0005, "total": 6000}},
                ]
            },
        },
    ],
    ids=["--summary-export", "handleSummary", "machine-readable"],
)
def test_all_of_k6s_summaries_are_read(document: dict[str, Any], tmp_path: Path) -> None:
    """p99 is not among k6's defaults: it is reported as missing, with the option that adds it."""
    read = compare.read(written(tmp_path / "summary.json", document))
    assert (read.tool, read.requests, read.success) == ("k6", 6000, 0.9995)
    assert read.rate_per_s == pytest.approx(99.98)
    assert read.latency_ms == {50: 2.5, 90: 5.5, 95: 7.25, 99: None, 99.9: None}
    assert any(note.startswith("p99, p99.9 missing: k6 run --summary-trend-stats") for note in read.notes)


def test_dropped_iterations_of_k6_are_reported(tmp_path: Path) -> None:
    """Dropped iterations are reported; success is missing without its metric."""
    metrics = {**K6, "dropped_iterations": {"count": 12, "rate": 0.2}}
    metrics["http_req_duration"] = {**K6["http_req_duration"], **TRENDS}
    read = compare.read(written(tmp_path / "summary.json", {"metrics": metrics}))
    assert (read.success, read.latency_ms[50], read.latency_ms[99.9]) == (None, 2.25, 33.0)
    assert "12 iterations were dropped, so fewer requests were sent than intended" in read.notes
    assert "success missing: the summary has no http_req_failed" in read.notes


def test_locusts_statistics_are_read_with_their_rounding(tmp_path: Path) -> None:
    """Below 100 ms locust rounds to 1 ms, below a second to 10."""
    read = compare.read(written(tmp_path / "x_stats.csv", STATS))
    assert (read.tool, read.requests, read.rate_per_s, read.success) == ("locust", 1000, 20.0, 0.998)
    assert read.latency_ms == {50: 3, 90: 9, 95: 40, 99: 320, 99.9: 950}
    assert "percentiles rounded, here to 1 ms and 10 ms" in read.notes


def test_real_locust_files_are_read(tmp_path: Path) -> None:
    """Both CSV files of a locust load agree with the gaia folder of the same load."""
    with server() as url:
        done = subprocess.run(
            [sys.executable, "-m", "locust", "-f", "locustfiles/smoke.py", "--headless", "--rate", "40", "-t", "3s",
             "--host", url, "--csv", str(tmp_path / "load"), "--csv-full-history", "--folder", str(tmp_path)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode in (0, 8), done.stderr  # 8: the machine was too busy to believe the load
    own, stats, history = (
        compare.read(path) for path in (tmp_path, tmp_path / "load_stats.csv", tmp_path / "load_stats_history.csv")
    )
    assert (own.requests, own.success, stats.success) == (120, 1.0, 1.0)
    assert stats.latency_ms[50] is not None
    for observed in (stats.requests, history.requests):  # locust writes its files once a second, not at the end
        assert observed is not None
        assert 0 < observed <= 120
    assert set(history.latency_ms.values()) == {None}


def test_the_table_shows_both_loads_and_missing_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table has one row per figure, the difference of B to A, a dash for unknown values, and notes."""
    summary = written(tmp_path / "summary.json", {"metrics": K6})
    assert cli.run(["load", "compare", str(ours(tmp_path / "run")), str(summary)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["rate", "100.00", "/s", "99.98", "/s", "-0.0%"] in lines
    assert ["success", "99.9000%", "–", "–"] in lines
    assert ["p50", "2.001", "ms", "2.500", "ms", "+24.9%"] in lines
    assert ["p99", "2.001", "ms", "–", "–"] in lines
    assert any(line[:5] == ["B:", "p99,", "p99.9", "missing:", "k6"] for line in lines)


def test_programs_get_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON has the same figures, with units in their names."""
    run = str(ours(tmp_path / "run"))
    assert cli.run(["load", "compare", run, run, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["a"] == document["b"]
    assert document["a"]["rate_per_s"] == 100.0
    assert list(document["a"]["latency_ms"]) == ["p50_ms", "p90_ms", "p95_ms", "p99_ms", "p999_ms"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.json", None, "missing.json: cannot be read (No such file or directory); not a readable load"),
        ("other.json", {"a": 1}, "other.json: not a readable load; name the folder of a gaia load, k6's summary"),
        ("list.json", [1], "list.json: not a readable load"),
        ("text.json", "hello", "text.json: not a readable load"),
        ("other.csv", "a,b\n1,2\n", "other.csv: not a readable load"),
        ("empty.csv", "", "empty.csv: not a readable load"),
        ("half.csv", STATS.splitlines()[0] + "\n", "half.csv: not a readable load"),
        ("k6.json", {"metrics": {"http_reqs": {}}}, "k6.json: not a readable load"),
    ],
)
def test_a_wrong_file_is_one_clear_line(name: str, content: object, message: str, tmp_path: Path) -> None:
    """The error names the file and the readable formats."""
    path = tmp_path / name
    if content is not None:
        written(path, content)
    with pytest.raises(ConfigurationError) as error:
        compare.read(path)
    assert str(error.value).startswith(str(tmp_path / message))
    assert "\n" not in str(error.value)


def test_a_load_that_was_not_measured_has_no_figures(tmp_path: Path) -> None:
    """The error states why the load was not measured."""
    with pytest.raises(ConfigurationError, match="this load was not measured: locust did not exit in time"):
        compare.read(ours(tmp_path / "run", broken="locust did not exit in time"))
