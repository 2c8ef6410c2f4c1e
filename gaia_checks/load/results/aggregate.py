"""Aggregates the seconds of a load: one record per second, one result at the end. Pure.

Several processes may send the load. A second is complete when each of them has reported it or a later one.
"""

import math
from array import array
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gaia_checks.load.results.blocks import Blocks
from gaia_checks.load.results.generator_usage import Shares
from gaia_checks.load.results.histogram import Histogram
from gaia_checks.load.results.per_second import Counts, Route, Second, span_of
from gaia_checks.load.results.worker_totals import p95


@dataclass
class Merge:
    """Merges the seconds of several processes, in order."""

    workers: int
    _pending: dict[int, Second] = field(default_factory=dict)
    _reported: dict[int, float] = field(default_factory=dict)  # worker -> the last second it reported
    _until_s: dict[int, float] = field(default_factory=dict)  # worker -> the end of that second

    def add(self, worker: int, second: Second) -> list[Second]:
        """Add a second of one worker; return the seconds that it completes.

        Raises ValueError when it does not start where the previous one stopped: a broken connection loses reports, and
        the requests in them would go unnoticed.
        """
        if second.start_s != self._until_s.get(worker, 0.0):
            raise ValueError(f"a part of worker {worker}'s reports was lost or arrived twice")
        self._until_s[worker] = float("inf") if second.last else second.end_s
        self._reported[worker] = float("inf") if second.last else second.number
        if second.number in self._pending:
            self._pending[second.number].add(second)
        else:
            self._pending[second.number] = second
        if len(self._reported) < self.workers:
            return []
        complete = sorted(number for number in self._pending if number <= min(self._reported.values()))
        return [self._pending.pop(number) for number in complete]

    @property
    def finished(self) -> bool:
        """Whether every worker has reported its last second."""
        return len(self._reported) == self.workers and min(self._reported.values()) == float("inf")


@dataclass
class Total:
    """The sum of the seconds of a load. Its size does not grow with the number of requests."""

    window_s: float
    workers: int = 1
    looks_s: tuple[float, ...] = ()  # times within the window; the requests due by then are judged
    floods: Mapping[str, float] = field(default_factory=dict)  # label -> admissions allowed per second
    due_by_looks: tuple[int, ...] = ()  # requests due by the end of each look
    whole: Second = field(default_factory=lambda: Second(0))
    _latency: Histogram = field(default_factory=Histogram)  # of all judged requests
    _failed: int = 0
    _blocks: Blocks = field(default_factory=Blocks)
    _shares: tuple["array[float]", ...] = field(default_factory=lambda: tuple(array("d") for _ in Shares._fields))

    def add(self, second: Second) -> dict[str, Any]:
        """Add a complete second; return its record for the timeline."""
        judged = second.judged()
        self._latency.add(judged.latency)
        self._failed += judged.failed
        self._blocks.add(second.blocks)
        self.whole.add(second)
        self.whole.blocks.clear()
        for kept, share in zip(self._shares, second.shares, strict=True):
            kept.append(share)
        return {
            "t": round(min(second.end_s, self.window_s), 3),
            "of": next((end_s for end_s in self.looks_s if second.end_s < end_s), self.window_s),
            "worst": self.worst(),
            **asdict(second.counts),
            **_outcomes(judged),
            "unsent": second.counts.intended - second.counts.sent,
            "p50_ms": judged.latency.percentile_ms(50),
            "p90_ms": judged.latency.percentile_ms(90),
            "p99_ms": judged.latency.percentile_ms(99),
            "max_ms": judged.latency.percentile_ms(100),
            "service_p99_ms": second.service.percentile_ms(99),
            "lateness_p99_ms": second.lateness.percentile_ms(99),
            **{name: round(share, 4) for name, share in second.shares._asdict().items()},
        }

    def worst(self) -> str:
        """Return a summary so far, for people: `p99 12.3 ms, 0 failed`."""
        return f"p99 {self._latency.percentile_ms(99) or 0:.1f} ms, {self._failed} failed"

    def is_answered(self, number: int) -> bool:
        """Whether every request due by the end of a look has finished."""
        return number < len(self.due_by_looks) and self._blocks.finished_until(number) >= self.due_by_looks[number]

    def look(self, number: int) -> dict[str, Any]:
        """Return the results of the requests due by the end of a look; of the generator, everything so far."""
        due = self._due(number)
        return {**self.result(), "window_s": self.looks_s[number], **due, "served_of": due["done"]}

    def so_far(self) -> dict[str, Any]:
        """Return the results of the finished requests while the load continues; cheap to compute."""
        due = self._due(len(self.looks_s), self.whole.end_s)
        return {**self._counted(), "window_s": self.whole.end_s, **due, "served_of": due["done"]}

    def result(self) -> dict[str, Any]:
        """Return the complete result as JSON."""
        blocks = self._due(len(self.looks_s))
        return {
            **self._counted(),
            "blocks": blocks["blocks"],
            "latency_blocks": blocks["latency_blocks"],
            "block_spans": blocks["block_spans"],
            "latency": self._latency.encode(),
            "service": self.whole.service.encode(),
            "lateness": self.whole.lateness.encode(),
            "routes": {label: _route(route) for label, route in sorted(self.whole.routes.items())},
        }

    def _due(self, look: int, now_s: float = math.inf) -> dict[str, Any]:
        """Return the results of the requests due by the end of a look, and the time span of each block."""
        due = self._blocks.until(look)
        spans = [span_of(key, (*self.looks_s, self.window_s)) for key in due.pop("block_keys")]
        return {**due, "block_spans": [[begin, min(end, now_s)] for begin, end in spans]}

    def _counted(self) -> dict[str, Any]:
        counts, lateness, notes = self.whole.counts, self.whole.lateness, self.whole.notes
        return {
            **{name: getattr(counts, name) for name in Counts.__slots__},
            **_outcomes(self.whole.judged()),
            "window_s": self.window_s,
            "workers": self.workers,
            "unsent": counts.intended - counts.sent,
            "served_of": counts.sent,
            "lateness_p99_ms": lateness.percentile_ms(99) or 0.0,
            "lateness_max_ms": lateness.percentile_ms(100) or 0.0,
            "seconds": len(self._shares[0]),
            **{f"{name}_p95": p95(kept) for name, kept in zip(Shares._fields, self._shares, strict=True)},
            "floods": [self._flood(label, per_s) for label, per_s in self.floods.items()],
            "notes": [*notes.failed, *notes.limited][:5],
            "limited_notes": notes.limited,
            "generator_notes": notes.generator,
        }

    def _flood(self, label: str, per_s: float) -> dict[str, Any]:
        """Return the admissions of a flood. Every clock second admits `per_s`; n seconds touch n + 1 of them.

        A request that failed, as with 503, was not admitted for certain.
        """
        route = self.whole.routes.get(label, Route())
        allowed = per_s * (int(self.whole.end_s) + 1)
        admitted = route.done - route.limited - route.failed
        return {"route": label, "sent": route.done, "admitted": admitted, "allowed": allowed}


def _outcomes(route: Route) -> dict[str, int]:
    return {"done": route.done, "failed": route.failed, "limited": route.limited}


def _route(route: Route) -> dict[str, Any]:
    return {"flood": route.flood, **_outcomes(route), "latency": route.latency.encode()}
