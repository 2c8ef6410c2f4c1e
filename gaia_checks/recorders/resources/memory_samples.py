"""Memory samples, and the measurements made of them. Pure."""

from dataclasses import dataclass, field

from gaia_checks.model import Measurement
from gaia_checks.recorders.base.measurement_table import Measures
from gaia_checks.recorders.base.sampling import Coverage

MOST_POINTS = 2000
_MB = 1e6

Series = list[tuple[float, float]]
"""(seconds since the start, MB)"""


@dataclass(slots=True)
class MemorySamples:
    """The samples of one recording."""

    measures: Measures  # of `memory.peak` and `memory.series`
    coverage: Coverage
    notes: list[str] = field(default_factory=list)
    peak_mb: float = 0.0
    last_mb: float = 0.0
    _shared_mb: float = 0.0  # the maximum that other processes may share
    _series: Series = field(default_factory=list)  # private memory

    def add(self, t_s: float, total_bytes: float, shared_bytes: float = 0.0) -> None:
        """Take a sample. `shared_bytes` of `total_bytes` are file pages, which other processes may map as well."""
        self.coverage.add(t_s)
        self.last_mb = total_bytes / _MB
        self.peak_mb = max(self.peak_mb, self.last_mb)
        self._shared_mb = max(self._shared_mb, shared_bytes / _MB)
        self._series.append((round(t_s, 3), self.last_mb - shared_bytes / _MB))

    def __str__(self) -> str:
        return f"{self.last_mb:.1f} MB, at most {self.peak_mb:.1f} MB"

    def peak(self) -> Measurement:
        """Return the highest sample so far."""
        n, window_s = self.coverage.n, self.coverage.covered_s
        return self.measures.measurement("memory.peak", self.peak_mb, n=n, window_s=window_s, notes=self.notes)

    def measured(self) -> list[Measurement]:
        """Return all measurements.

        In the series the shared part is constant at its maximum: it shrinks when another process maps the same files
        and grows when that one exits, which says nothing about the server's trend.
        """
        points = [(t_s, own_mb + self._shared_mb) for t_s, own_mb in thin(self._series)]
        window_s = self.coverage.covered_s
        series = self.measures.measurement("memory.series", points, n=len(points), window_s=window_s, notes=self.notes)
        return [self.peak(), series]


def thin(series: Series, most: int = MOST_POINTS) -> Series:
    """Return every k-th point, so that at most `most` remain; evenly, so that the trend stays the same."""
    return series[:: -(-len(series) // most) or 1]
