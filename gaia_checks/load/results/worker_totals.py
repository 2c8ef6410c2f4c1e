"""What each process of a distributed load sent, and how well: its own lateness, CPU and clock. Pure.

The load's checks apply to the worst worker: among four, one that is late hides in the sum of all.
"""

from array import array
from dataclasses import dataclass, field
from typing import Any

from gaia_checks.load.results.generator_usage import Shares
from gaia_checks.load.results.histogram import Histogram
from gaia_checks.load.results.per_second import Second


@dataclass
class WorkerTotals:
    """One sending process and its totals. Its size does not grow with the number of requests."""

    name: str  # host (pid N)
    version: str  # of gaia-checks
    url: str  # of the target, as it reaches it
    clock_ahead_s: float  # of its wall clock, compared with the master's
    clock_uncertain_s: float  # half a round trip to the master: its start is as uncertain
    _intended: int = 0
    _sent: int = 0
    _done: int = 0
    _lateness: Histogram = field(default_factory=Histogram)
    _latency: Histogram = field(default_factory=Histogram)  # of judged requests
    _shares: tuple["array[float]", ...] = field(default_factory=lambda: tuple(array("d") for _ in Shares._fields))

    def add(self, second: Second) -> None:
        """Add one second of this worker."""
        judged = second.judged()
        self._intended += second.counts.intended
        self._sent += second.counts.sent
        self._done += judged.done
        self._lateness.add(second.lateness)
        self._latency.add(judged.latency)
        for kept, share in zip(self._shares, second.shares, strict=True):
            kept.append(share)

    def to_json(self) -> dict[str, Any]:
        """Return the totals so far as JSON."""
        return {
            "name": self.name,
            "version": self.version,
            "url": self.url,
            "intended": self._intended,
            "sent": self._sent,
            "done": self._done,
            "lateness_p99_ms": self._lateness.percentile_ms(99) or 0.0,
            "lateness_max_ms": self._lateness.percentile_ms(100) or 0.0,
            "latency_p99_ms": self._latency.percentile_ms(99),
            **{f"{name}_p95": p95(kept) for name, kept in zip(Shares._fields, self._shares, strict=True)},
            "clock_ahead_ms": round(self.clock_ahead_s * 1000, 3),
            "clock_uncertain_ms": round(self.clock_uncertain_s * 1000, 3),
        }


def p95(values: "array[float]") -> float:
    """Return the 95th percentile of shares; 0 without any."""
    ordered = sorted(values)
    return round(ordered[int(0.95 * (len(ordered) - 1))], 4) if ordered else 0.0
