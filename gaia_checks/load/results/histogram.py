"""Latencies in HdrHistograms: whole microseconds rounded down, three significant digits, 1 us to 60 s.

While counting, only non-empty buckets are stored: recording is one addition, a second with a few hundred requests is a
few hundred numbers, and any two histograms add without loss. The encoding is HdrHistogram's own (V2).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from hdrh.histogram import HdrHistogram

_LOWEST_US = 1
_HIGHEST_US = 60_000_000
_DIGITS = 3
_BITS = 11  # 2048 values per bucket: the next power of two above three digits


@dataclass(slots=True)
class Histogram:
    """The number of latencies in each bucket of an HdrHistogram."""

    counts: dict[int, int] = field(default_factory=dict)  # by HdrHistogram's own index

    def record(self, seconds: float) -> None:
        """Add one latency; values outside the range are clamped to it."""
        value = int(seconds * 1e6)
        if not _LOWEST_US <= value <= _HIGHEST_US:
            value = min(max(value, _LOWEST_US), _HIGHEST_US)
        shift = value.bit_length() - _BITS
        index = (shift << _BITS - 1) + (value >> shift) if shift > 0 else value
        self.counts[index] = self.counts.get(index, 0) + 1

    def add(self, other: "Histogram") -> None:
        """Add another histogram."""
        for index, count in other.counts.items():
            self.counts[index] = self.counts.get(index, 0) + count

    @property
    def total(self) -> int:
        """The number of recorded latencies."""
        return sum(self.counts.values())

    def percentile_ms(self, percentile: float) -> float | None:
        """Return a percentile in ms, by the upper edge of its bucket; None when nothing was recorded."""
        rank, counted = max(1, math.ceil(percentile / 100 * self.total)), 0
        for index in sorted(self.counts):
            counted += self.counts[index]
            if counted >= rank:
                return _upper_us(index) / 1000
        return None

    def buckets_ms(self) -> Iterator[tuple[float, int]]:
        """Yield (upper edge in ms, count) of every non-empty bucket, in order."""
        for index in sorted(self.counts):
            yield _upper_us(index) / 1000, self.counts[index]

    def encode(self) -> str:
        """Return the base64 text of the compressed V2 encoding."""
        whole: Any = HdrHistogram(_LOWEST_US, _HIGHEST_US, _DIGITS)
        for index, count in self.counts.items():
            whole.counts[index] = count  # as record_value does, without computing the known index
        if self.counts:
            whole.total_count = self.total
            whole.min_value, whole.max_value = _lower_us(min(self.counts)), _upper_us(max(self.counts))
        text = str(whole.encode().decode("ascii"))
        _let_go(whole)
        return text

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read what `encode` wrote."""
        whole: Any = HdrHistogram.decode(text)
        counts = whole.counts[:]  # a list of integers is faster to iterate
        _let_go(whole)
        return cls({index: count for index, count in enumerate(counts) if count})


def _let_go(whole: Any) -> None:
    """Free an HdrHistogram now. It and its encoder form a cycle: 200 KB would wait for the garbage collector."""
    whole.encoder.histogram = None


def _lower_us(index: int) -> int:
    shift = max(0, (index >> _BITS - 1) - 1)
    return (index - (shift << _BITS - 1)) << shift


def _upper_us(index: int) -> int:
    return _lower_us(index + 1) - 1


class HistogramLog:
    """A `.hlog` file, one histogram per interval, as HdrHistogram's own tools read it (format 1.2).

    Every line is written at once, so that the file stays readable after a kill.
    """

    def __init__(self, path: Path, started_s: float) -> None:
        """Create the file. `started_s` is the wall clock at the start, in seconds since the epoch."""
        self._path = path
        path.write_text(
            f"#[Histogram log format version 1.2]\n#[BaseTime: {started_s:.3f} (seconds since epoch)]\n"
            '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n',
            encoding="ascii",
        )

    def append(self, start_s: float, length_s: float, histogram: Histogram, tag: str = "") -> None:
        """Add the histogram of one interval, its maximum in ms; a tag (without commas and spaces) names its kind."""
        maximum_ms = histogram.percentile_ms(100) or 0.0
        named = f"Tag={tag}," if tag else ""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{named}{start_s:.3f},{length_s:.3f},{maximum_ms:.3f},{histogram.encode()}\n")
