"""What became of every arrival. Pure: events in, one record per second and one result out; time is an argument.

Every intended arrival is counted exactly once and none is dropped: sent late, not sent, failed or served.
Seconds are counted from the start of the schedule.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gaia_checks.load import histogram
from gaia_checks.load.resources import Shares

REPLY_LIMIT_S = 10.0
"""No reply within this is a failure of the server."""

LATE_S = 0.01
"""A request that leaves later than this after it was due is counted as late."""

SERVED_WITHIN_S = 1.0
"""An answer counts as served when it comes no later than this after the window's end: more is a backlog."""

BLOCK_S = 10
"""Outcomes are kept per block of this length; from how they vary comes the design effect."""

_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Arrival:
    """One intended request that was sent, and its end."""

    due_s: float
    begun_s: float  # when its turn came: what is between is the generator's delay
    ended_s: float
    problem: str | None  # what was wrong; None: served
    answered: bool  # whether a whole answer came, right or wrong
    limited: bool = False  # whether it was refused with 429

    @property
    def latency_s(self) -> float:
        """From when it was due. What was never answered counts as the time limit, however quick the refusal."""
        taken_s = self.ended_s - self.due_s
        return taken_s if self.answered else max(taken_s, REPLY_LIMIT_S)


@dataclass(slots=True)
class Counts:
    """What is counted, in a second and in all."""

    intended: int = 0
    sent: int = 0
    done: int = 0
    failed: int = 0
    late: int = 0
    limited: int = 0
    generator_errors: int = 0


@dataclass
class Tally:
    """Everything that happened."""

    window_s: float
    total: Counts = field(default_factory=Counts)
    served: int = 0
    _second: Counts = field(default_factory=Counts)
    _latencies_s: list[float] = field(default_factory=list)  # of this second
    _latency: Any = field(default_factory=histogram.create)
    _lateness: Any = field(default_factory=histogram.create)
    _blocks: dict[int, list[int]] = field(default_factory=dict)  # index -> [requests, failures]
    _shares: list[Shares] = field(default_factory=list)
    _notes: list[str] = field(default_factory=list)
    _limited_notes: list[str] = field(default_factory=list)
    _generator_notes: list[str] = field(default_factory=list)

    def intend(self) -> None:
        """Count an arrival that is due."""
        for counts in (self.total, self._second):
            counts.intended += 1

    def send(self, due_s: float, begun_s: float) -> None:
        """Count an arrival whose turn has come."""
        histogram.record(self._lateness, begun_s - due_s)
        for counts in (self.total, self._second):
            counts.sent += 1
            counts.late += begun_s - due_s > LATE_S

    def end(self, arrival: Arrival) -> None:
        """Count the end of an arrival that was sent."""
        failed = arrival.problem is not None
        for counts in (self.total, self._second):
            counts.done += 1
            counts.failed += failed
            counts.limited += arrival.limited
        self.served += not failed and arrival.ended_s <= self.window_s + SERVED_WITHIN_S
        block = self._blocks.setdefault(int(arrival.due_s // BLOCK_S), [0, 0])
        block[0] += 1
        block[1] += failed
        self._latencies_s.append(arrival.latency_s)
        histogram.record(self._latency, arrival.latency_s)
        if arrival.problem is not None:
            kind = self._limited_notes if arrival.limited else self._notes
            _note(kind, f"{arrival.problem}, due at {arrival.due_s:.2f} s")

    def break_down(self, due_s: float, reason: str) -> None:
        """Count an arrival that our own fault has ended: it was not sent, whatever was counted before."""
        self.total.sent -= 1
        for counts in (self.total, self._second):
            counts.generator_errors += 1
        _note(self._generator_notes, f"{reason}, due at {due_s:.2f} s")

    def second(self, now_s: float, shares: Shares) -> tuple[dict[str, Any], Any]:
        """Close a second: return its record and its latencies as a histogram."""
        counts, self._second = self._second, Counts()
        latencies_s, self._latencies_s = sorted(self._latencies_s), []
        self._shares.append(shares)
        interval = histogram.create()
        for latency_s in latencies_s:
            histogram.record(interval, latency_s)
        record = {
            "t": round(min(now_s, self.window_s), 3),
            "of": self.window_s,
            "worst": self.worst(),
            **{name: getattr(counts, name) for name in Counts.__slots__},
            "p50_ms": _rank_ms(latencies_s, 0.50),
            "p99_ms": _rank_ms(latencies_s, 0.99),
            "max_ms": _rank_ms(latencies_s, 1.0),
            **{name: round(share, 4) for name, share in shares._asdict().items()},
        }
        return record, interval

    def worst(self) -> str:
        """Return what a person wants to know so far: `p99 12.3 ms, 0 failed`."""
        return f"p99 {histogram.percentile_ms(self._latency, 99):.1f} ms, {self.total.failed} failed"

    def result(self) -> dict[str, Any]:
        """Return everything that was counted, as JSON."""
        return {
            **{name: getattr(self.total, name) for name in Counts.__slots__},
            "window_s": self.window_s,
            "served": self.served,
            "blocks": [self._blocks[index] for index in sorted(self._blocks)],
            "latency": histogram.encode(self._latency),
            "lateness_p99_ms": histogram.percentile_ms(self._lateness, 99),
            "seconds": len(self._shares),
            **{f"{name}_p95": _p95([getattr(shares, name) for shares in self._shares]) for name in Shares._fields},
            "notes": [*self._notes, *self._limited_notes][:_EXAMPLES],
            "limited_notes": self._limited_notes,
            "generator_notes": self._generator_notes,
        }


def _note(notes: list[str], text: str) -> None:
    if len(notes) < _EXAMPLES:
        notes.append(text)


def _rank_ms(ordered_s: Sequence[float], share: float) -> float | None:
    """Return the value below or at which `share` of the ordered values lie, in ms."""
    if not ordered_s:
        return None
    index = min(len(ordered_s) - 1, int(share * len(ordered_s)))
    return round(ordered_s[index] * 1000, 3)


def _p95(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return round(ordered[int(0.95 * (len(ordered) - 1))], 4) if ordered else 0.0
