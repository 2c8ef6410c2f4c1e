"""Latencies in HdrHistograms: whole microseconds rounded down, three significant digits, 1 us to 60 s."""

from pathlib import Path
from typing import Any

from hdrh.histogram import HdrHistogram

_LOWEST_US = 1
_HIGHEST_US = 60_000_000
_DIGITS = 3


def create() -> Any:
    """Return an empty HdrHistogram; any two of them can be added without loss."""
    return HdrHistogram(_LOWEST_US, _HIGHEST_US, _DIGITS)


def record(histogram: Any, seconds: float) -> None:
    """Add one latency; what is beyond the range counts as its end."""
    histogram.record_value(min(max(int(seconds * 1e6), _LOWEST_US), _HIGHEST_US))


def percentile_ms(histogram: Any, percentile: float) -> float:
    """Return a percentile in ms, by the upper edge of its bucket."""
    return int(histogram.get_value_at_percentile(percentile)) / 1000


def encode(histogram: Any) -> str:
    """Return the base64 text of the compressed V2 encoding."""
    return str(histogram.encode().decode("ascii"))


class Log:
    """A `.hlog` file, one histogram per interval, as HdrHistogram's own tools read it (format 1.2).

    Every line is written whole, so that what a kill leaves behind can be read.
    """

    def __init__(self, path: Path, started_s: float) -> None:
        """Begin the file. `started_s` is the wall clock at the start, in seconds since the epoch."""
        self._path = path
        path.write_text(
            f"#[Histogram log format version 1.2]\n#[BaseTime: {started_s:.3f} (seconds since epoch)]\n"
            '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n',
            encoding="ascii",
        )

    def append(self, start_s: float, length_s: float, histogram: Any) -> None:
        """Add the histogram of one interval; its maximum is written in ms."""
        maximum_ms = int(histogram.get_max_value()) / 1000
        with self._path.open("a", encoding="ascii") as file:
            file.write(f"{start_s:.3f},{length_s:.3f},{maximum_ms:.3f},{encode(histogram)}\n")
