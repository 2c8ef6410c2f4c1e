"""Histograms: units, range, and a log that HdrHistogram's own reader understands."""

from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from gaia_checks.load import histogram


def test_seconds_become_whole_microseconds_rounded_down() -> None:
    """An upper edge then lies above the true value."""
    made = histogram.create()
    histogram.record(made, 0.0015009999)
    assert (made.get_min_value(), made.get_max_value()) == (1500, 1500)


@pytest.mark.parametrize(("seconds", "us"), [(-1, 1), (0, 1), (3600, 60_000_000)])
def test_what_is_beyond_the_range_counts_as_its_end(seconds: float, us: int) -> None:
    """No latency is dropped for being extreme."""
    made = histogram.create()
    histogram.record(made, seconds)
    assert made.get_total_count() == 1
    assert made.get_value_at_percentile(100) == pytest.approx(us, rel=1e-3)


def test_the_log_is_read_back_by_another_reader(tmp_path: Path) -> None:
    """What was recorded per second adds up to the whole."""
    path, whole = tmp_path / "latency.hlog", histogram.create()
    log = histogram.Log(path, 1_790_000_000.0)
    for second in range(3):
        interval = histogram.create()
        for _ in range(second):
            histogram.record(interval, 0.01)
            histogram.record(whole, 0.01)
        log.append(second, 1.0, interval)
    reader, read, intervals = HistogramLogReader(str(path), histogram.create()), histogram.create(), 0
    while (interval := reader.get_next_interval_histogram()) is not None:
        read.add(interval)
        intervals += 1
    reader.close()
    assert intervals == 3
    assert read.get_total_count() == whole.get_total_count() == 3
    assert read.get_value_at_percentile(50) == whole.get_value_at_percentile(50)


def test_the_encoding_is_the_judges() -> None:
    """Text in, the same histogram out."""
    made = histogram.create()
    histogram.record(made, 0.1)
    assert HdrHistogram.decode(histogram.encode(made)).get_count_at_value(100_000) == 1
