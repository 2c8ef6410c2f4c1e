"""Counts the outcome of every arrival, second by second. Pure: events in, a sequence of `Second` out.

Every intended arrival is counted exactly once and none is dropped: sent late, not sent, failed or served.
Time is an argument: seconds from the start of the schedule.
"""

import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Self

from gaia_checks.load.results.generator_usage import Shares
from gaia_checks.load.results.histogram import Histogram

REPLY_LIMIT_S = 10.0
"""A request without a reply within this time is a failure of the server."""

LATE_S = 0.01
"""A request sent later than this after it was due counts as late."""

SERVED_WITHIN_S = 1.0
"""A response counts as served when it arrives no later than this after the window's end; later ones are a backlog."""

BLOCK_S = 10
"""Outcomes are stored per block of this length; the design effect is computed from their variation."""

_LOOK = 1_000_000  # block numbers reserved for one look

EXAMPLES = 5
"""The number of examples stored of each kind of problem."""

_NO_SHARES = Shares(0.0, 0.0, 0.0)


class Arrival(NamedTuple):
    """One request that was sent, and its outcome."""

    due_s: float
    sent_s: float  # the difference to due_s is the generator's delay
    finished_s: float
    problem: str | None  # None: served
    answered: bool  # whether a complete response arrived, valid or not
    limited: bool = False  # whether it was refused with 429
    route: str = ""  # name of its kind in the statistics
    flood: bool = False  # meant to be refused

    @property
    def latency_s(self) -> float:
        """The time since it was due. A request without a response counts as the time limit, however fast it failed."""
        taken_s = self.finished_s - self.due_s
        return taken_s if self.answered else max(taken_s, REPLY_LIMIT_S)


@dataclass(slots=True)
class Counts:
    """Counts over all arrivals."""

    intended: int = 0
    sent: int = 0  # without those lost by a fault of the generator
    late: int = 0
    retried: int = 0  # used another connection because the first was closed before a byte was written
    generator_errors: int = 0  # lost by a fault of the generator
    served: int = 0  # valid response, in time


@dataclass(slots=True)
class Route:
    """The outcomes of one kind of request."""

    flood: bool = False
    done: int = 0
    failed: int = 0
    limited: int = 0
    latency: Histogram = field(default_factory=Histogram)  # from when it was due

    def add(self, other: "Route") -> None:
        """Add another process's counts of the same kind."""
        self.flood |= other.flood
        self.done += other.done
        self.failed += other.failed
        self.limited += other.limited
        self.latency.add(other.latency)


@dataclass(slots=True)
class Block:
    """The outcomes of the requests due in one time interval, without floods."""

    requests: int = 0
    failures: int = 0
    served: int = 0  # valid response, in time
    latency: Histogram = field(default_factory=Histogram)  # from when it was due

    def add(self, other: "Block") -> None:
        """Add another process's counts of the same block."""
        self.requests += other.requests
        self.failures += other.failures
        self.served += other.served
        self.latency.add(other.latency)


def look_of(block: int) -> int:
    """Return the first look, counted from 0, that includes a block."""
    return block // _LOOK


def span_of(block: int, ends_s: Sequence[float]) -> tuple[float, float]:
    """Return the time span of a block's due times; `ends_s` are the ends of all looks."""
    look, begins_s = look_of(block), float(block % _LOOK * BLOCK_S)
    return max(begins_s, ends_s[look - 1] if look else 0.0), min(begins_s + BLOCK_S, ends_s[look])


@dataclass(slots=True)
class Examples:
    """A few examples of problems: failures, refusals by a limit, faults of the generator."""

    failed: list[str] = field(default_factory=list)
    limited: list[str] = field(default_factory=list)
    generator: list[str] = field(default_factory=list)

    def add(self, other: "Examples") -> None:
        """Append examples up to the limit."""
        for mine, theirs in (
            (self.failed, other.failed),
            (self.limited, other.limited),
            (self.generator, other.generator),
        ):
            mine.extend(theirs[: EXAMPLES - len(mine)])


@dataclass(slots=True)
class Second:
    """Everything that finished in one second, of one process or several: `add` loses nothing."""

    number: int
    start_s: float = 0.0
    end_s: float = 0.0
    counts: Counts = field(default_factory=Counts)
    routes: dict[str, Route] = field(default_factory=dict)
    service: Histogram = field(default_factory=Histogram)  # from when it was sent
    lateness: Histogram = field(default_factory=Histogram)  # from when it was due until it was sent
    blocks: dict[int, Block] = field(default_factory=dict)  # in the order of their keys
    shares: Shares = _NO_SHARES  # the worst process's
    notes: Examples = field(default_factory=Examples)
    last: bool = False  # no second follows

    def add(self, other: "Second") -> None:
        """Add another process's second, or another second."""
        self.start_s, self.end_s = min(self.start_s, other.start_s), max(self.end_s, other.end_s)
        for name in Counts.__slots__:
            setattr(self.counts, name, getattr(self.counts, name) + getattr(other.counts, name))
        for label, route in other.routes.items():
            self.routes.setdefault(label, Route()).add(route)
        self.service.add(other.service)
        self.lateness.add(other.lateness)
        for key, block in other.blocks.items():
            self.blocks.setdefault(key, Block()).add(block)
        self.shares = Shares(*map(max, self.shares, other.shares))
        self.notes.add(other.notes)

    def judged(self) -> Route:
        """Return the sum over all kinds of judged requests."""
        together = Route()
        for route in self.routes.values():
            if not route.flood:
                together.add(route)
        return together

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, its histograms encoded without loss."""
        return {
            "number": self.number, "start_s": self.start_s, "end_s": self.end_s, "last": self.last,
            "counts": asdict(self.counts), "notes": asdict(self.notes), "shares": list(self.shares),
            "blocks": [
                [key, block.requests, block.failures, block.served, block.latency.encode()]
                for key, block in self.blocks.items()
            ],
            "service": self.service.encode(), "lateness": self.lateness.encode(),
            "routes": {
                label: [route.flood, route.done, route.failed, route.limited, route.latency.encode()]
                for label, route in self.routes.items()
            },
        }  # fmt: skip

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            **{name: document[name] for name in ("number", "start_s", "end_s", "last")},
            counts=Counts(**document["counts"]),
            notes=Examples(**document["notes"]),
            shares=Shares(*document["shares"]),
            blocks={
                key: Block(requests, failures, served, Histogram.decode(encoded))
                for key, requests, failures, served, encoded in document["blocks"]
            },
            service=Histogram.decode(document["service"]), lateness=Histogram.decode(document["lateness"]),
            routes={
                label: Route(flood, done, failed, limited, Histogram.decode(encoded))
                for label, (flood, done, failed, limited, encoded) in document["routes"].items()
            },
        )  # fmt: skip


class SecondCounter:
    """Counts the events of one process for the current second."""

    def __init__(self, window_s: float, looks_s: Sequence[float] = ()) -> None:
        """`looks_s` are times within the window; the requests due by then are judged."""
        self._ends_s = (*looks_s, window_s)
        self._second = Second(0)
        self._retried = 0

    def intend(self) -> None:
        """Count an arrival that is due."""
        self._second.counts.intended += 1

    def send(self, due_s: float, sent_s: float) -> None:
        """Count an arrival that is being sent."""
        counts, lateness_s = self._second.counts, sent_s - due_s
        counts.sent += 1
        if lateness_s > LATE_S:
            counts.late += 1
        self._second.lateness.record(lateness_s)

    def end(self, arrival: Arrival) -> None:
        """Count the outcome of an arrival that was sent."""
        second = self._second
        route = second.routes.get(arrival.route)
        if route is None:
            route = second.routes[arrival.route] = Route()
        route.flood |= arrival.flood
        route.done += 1
        route.latency.record(arrival.latency_s)
        second.service.record(arrival.finished_s - arrival.sent_s)
        look, served = bisect.bisect_right(self._ends_s, arrival.due_s, hi=len(self._ends_s) - 1), False
        if arrival.problem is None:
            served = arrival.finished_s <= self._ends_s[look] + SERVED_WITHIN_S
            second.counts.served += served
        else:
            route.failed += not (arrival.flood and arrival.limited)  # each of a flood is admitted, refused or failed
            kind = second.notes.limited if arrival.limited else second.notes.failed
            _note(kind, f"{arrival.problem}, due at {arrival.due_s:.2f} s")
        route.limited += arrival.limited
        if not arrival.flood:
            key = look * _LOOK + int(arrival.due_s // BLOCK_S)
            block = second.blocks.get(key)
            if block is None:
                block = second.blocks[key] = Block()
            block.requests += 1
            block.failures += arrival.problem is not None
            block.served += served
            block.latency.record(arrival.latency_s)

    def break_down(self, due_s: float, reason: str) -> None:
        """Count an arrival lost by a fault of the generator: it is no longer counted as sent."""
        self._second.counts.sent -= 1
        self._second.counts.generator_errors += 1
        _note(self._second.notes.generator, f"{reason}, due at {due_s:.2f} s")

    def close(self, number: int, now_s: float, shares: Shares, *, retried: int = 0, last: bool = False) -> Second:
        """Finish the current second and start the next. `retried` counts all retries since the start."""
        second, self._second = self._second, Second(number + 1, now_s, now_s)
        second.number, second.end_s, second.shares, second.last = number, now_s, shares, last
        second.counts.retried, self._retried = retried - self._retried, retried
        return second


def _note(notes: list[str], text: str) -> None:
    if len(notes) < EXAMPLES:
        notes.append(text)


Listener = Callable[[Second], None]
"""Receives every second from an engine."""
