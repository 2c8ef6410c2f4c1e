"""Tests of the histograms: units, range, lossless sums, and a log that HdrHistogram's own reader reads."""

import math
import weakref
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given, settings
from hypothesis import strategies as st

from gaia_checks.load.results import histogram
from gaia_checks.load.results.histogram import Histogram

SECONDS = st.lists(st.floats(1e-6, 59.9), min_size=1, max_size=200)


def of(*seconds: float) -> Histogram:
    """Record some latencies."""
    made = Histogram()
    for value in seconds:
        made.record(value)
    return made


@settings(deadline=None)
@given(SECONDS)
def test_every_latency_falls_where_hdrhistogram_would_put_it(seconds: list[float]) -> None:
    """The encoded counts equal HdrHistogram's own histogram of the same values."""
    reference = HdrHistogram(1, 60_000_000, 3)
    for value in seconds:
        reference.record_value(int(value * 1e6))
    decoded = HdrHistogram.decode(of(*seconds).encode())
    assert decoded.get_total_count() == len(seconds)
    for percentile in (50, 90, 99, 100):
        assert decoded.get_value_at_percentile(percentile) == reference.get_value_at_percentile(percentile)


def test_coding_leaves_nothing_to_the_garbage_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoding frees its 200 KB at once; a load encodes several per second."""
    gone = []

    class Watched(HdrHistogram):  # type: ignore[misc] # it has no types
        def __init__(self, *arguments: object, **named: object) -> None:
            super().__init__(*arguments, **named)
            gone.append(weakref.ref(self))

    monkeypatch.setattr(histogram, "HdrHistogram", Watched)
    assert of(0.5).encode()
    assert [made() for made in gone] == [None]


@settings(deadline=None)
@given(SECONDS)
def test_a_percentile_is_the_sample_of_its_rank_to_three_digits(seconds: list[float]) -> None:
    """The upper edge of a bucket is at most a thousandth above its values."""
    for percentile in (1, 50, 99, 100):
        exact_us = int(sorted(seconds)[max(1, math.ceil(percentile / 100 * len(seconds))) - 1] * 1e6)
        got = of(*seconds).percentile_ms(percentile)
        assert got is not None
        assert exact_us <= got * 1000 + 1e-6 <= exact_us * 1.001 + 1


@settings(deadline=None)
@given(st.lists(SECONDS, min_size=1, max_size=5))
def test_the_sum_of_parts_is_the_whole_also_through_the_encoding(parts: list[list[float]]) -> None:
    """Encoding and decoding is lossless."""
    merged = Histogram()
    for part in parts:
        merged.add(Histogram.decode(of(*part).encode()))
    assert merged.counts == of(*(value for part in parts for value in part)).counts


def test_an_empty_histogram_has_no_percentile_and_can_be_encoded() -> None:
    """A percentile of no latencies is None, not zero."""
    assert Histogram().percentile_ms(99) is None
    assert Histogram.decode(Histogram().encode()).total == 0


def test_seconds_become_whole_microseconds_rounded_down() -> None:
    """Percentiles use the upper edge of a bucket."""
    assert list(of(0.0015009999).buckets_ms()) == [(1.5, 1)]


@pytest.mark.parametrize(("seconds", "ms"), [(-1, 0.001), (0, 0.001), (3600, 60_000)])
def test_values_outside_the_range_are_clamped(seconds: float, ms: float) -> None:
    """Latencies outside the range are clamped, not dropped."""
    assert of(seconds).total == 1
    assert of(seconds).percentile_ms(100) == pytest.approx(ms, rel=1e-3)


def test_the_log_is_read_back_by_another_reader(tmp_path: Path) -> None:
    """The intervals of the log add up to the whole histogram."""
    path, whole = tmp_path / "latency.hlog", Histogram()
    log = histogram.HistogramLog(path, 1_790_000_000.0)
    for second in range(3):
        interval = of(*[0.01] * second)
        whole.add(interval)
        log.append(second, 1.0, interval, tag="GET_/a" if second == 2 else "")
    reader, read, tags = HistogramLogReader(str(path), HdrHistogram(1, 60_000_000, 3)), Histogram(), []
    while (interval := reader.get_next_interval_histogram()) is not None:
        read.add(Histogram.decode(interval.encode()))
        tags.append(interval.get_tag())
    reader.close()
    assert tags == [None, None, "GET_/a"]
    assert read.counts == whole.counts
