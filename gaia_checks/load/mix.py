"""The traffic as data: what is asked, how often, and what a good answer is. Pure."""

import bisect
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_GOLDEN = 0.6180339887498949
"""The golden ratio's fraction: its multiples spread most evenly over the unit interval (Weyl's sequence)."""


@dataclass(frozen=True, slots=True)
class Request:
    """One kind of request."""

    method: str
    path: str
    weight: float = 1.0
    body: Mapping[str, Any] | None = None  # sent as JSON
    expected: frozenset[int] = frozenset({200})
    keys: frozenset[str] = frozenset()  # that the JSON object in a good answer has
    name: str = ""  # what it is called in statistics; the path without its query, if not given

    @property
    def label(self) -> str:
        """How it is called in messages and statistics."""
        return self.name or self.path.partition("?")[0]


@dataclass(frozen=True, slots=True)
class Mix:
    """Several kinds of requests in proportion to their weights."""

    requests: Sequence[Request]
    _edges: tuple[float, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_edges", tuple(itertools.accumulate(request.weight for request in self.requests)))

    def choose(self, index: int) -> Request:
        """Return the request of one arrival: the same one each time, every kind evenly spread over time."""
        point = (index * _GOLDEN) % 1.0 * self._edges[-1]
        return self.requests[bisect.bisect_right(self._edges, point)]


def problem(request: Request, status: int, body: bytes) -> str | None:
    """Say what is wrong with an answer, None when it has the expected status and a valid body."""
    if status not in request.expected:
        expected = " or ".join(map(str, sorted(request.expected)))
        return f"{request.method} {request.label}: status {status} instead of {expected}"
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return f"{request.method} {request.label}: the body is no JSON"
    if not isinstance(document, dict):
        return f"{request.method} {request.label}: the body is no JSON object"
    missing = request.keys - document.keys()
    return f"{request.method} {request.label}: the body has no {', '.join(sorted(missing))}" if missing else None
