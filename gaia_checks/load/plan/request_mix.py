"""The traffic as data: what is asked, how often, and what a good answer is. Pure."""

import bisect
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from gaia_checks import contract
from gaia_checks.load.http.response_parser import Answer
from gaia_checks.model import Names

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
    headers: Mapping[str, str] = field(default_factory=dict)  # beside those that every request carries
    flood: bool = False  # sent to be refused: counted apart, no part of the success rate and of the latency
    at_most_per_s: float | None = None  # so many of a flood may be admitted to each worker

    @property
    def label(self) -> str:
        """How it is called in messages and statistics."""
        return self.name or self.path.partition("?")[0]

    def under(self, names: Names) -> Self:
        """Return the request in the words of a server."""
        return replace(
            self,
            path=contract.path(names, self.path),
            body=contract.theirs(names, self.body),
            keys=frozenset(names.fields.get(key, key) for key in self.keys),
            name=self.label,
        )


@dataclass(frozen=True, slots=True)
class Mix:
    """Several kinds of requests in proportion to their weights."""

    requests: Sequence[Request]
    _edges: tuple[float, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Raise ValueError for requests that no share could be given to."""
        edges = tuple(itertools.accumulate(request.weight for request in self.requests))
        if not edges or not all(request.weight > 0 for request in self.requests):
            raise ValueError("a mix needs requests, and every request a weight above 0")
        object.__setattr__(self, "_edges", edges)

    def choose(self, index: int) -> Request:
        """Return the request of one arrival: the same one each time, every kind evenly spread over time."""
        return self.requests[self.number(index)]

    def number(self, index: int) -> int:
        """Return the place in `requests` of the request of one arrival."""
        return bisect.bisect_right(self._edges, (index * _GOLDEN) % 1.0 * self._edges[-1])

    def under(self, names: Names) -> Self:
        """Return the same traffic in the words of a server; what it is called in statistics stays ours."""
        if names == Names():
            return self
        return replace(self, requests=[request.under(names) for request in self.requests])

    def to_json(self) -> list[dict[str, Any]]:
        """Return the mix as JSON."""
        return [
            {**asdict(request), "expected": sorted(request.expected), "keys": sorted(request.keys)}
            for request in self.requests
        ]

    @classmethod
    def from_json(cls, document: Sequence[Mapping[str, Any]]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            [
                Request(**{**table, "expected": frozenset(table["expected"]), "keys": frozenset(table["keys"])})
                for table in document
            ]
        )


class Expectations:
    """What is wrong with answers to the requests of a mix. The last good one is kept: the same again is good again."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._requests = requests
        self._good = [(0, b"")] * len(requests)

    def problem(self, number: int, answer: Answer) -> str | None:
        """Say what is wrong with the answer to the request at this place, None when nothing is."""
        if self._good[number] == (answer.status, answer.body):
            return None
        limit = answer.header("ratelimit") if answer.status == 429 else None
        wrong = problem(self._requests[number], answer.status, answer.body, limit)
        if wrong is None:
            self._good[number] = (answer.status, answer.body)
        return wrong


def spread(index: int, parts: int) -> int:
    """Return which of several equal parts an arrival falls to, all evenly spread over time."""
    return int((index * _GOLDEN) % 1.0 * parts)


def problem(request: Request, status: int, body: bytes, limit: str | None = None) -> str | None:
    """Say what is wrong with an answer, None when it has the expected status and a valid body.

    `limit` is what a refusal says about the limit that it is by.
    """
    name = f"{request.method} {request.label}"
    if status not in request.expected:
        expected = " or ".join(map(str, sorted(request.expected)))
        by = f", by the limit {limit or 'that it does not name'}" if status == 429 else ""
        return f"{name}: status {status} instead of {expected}{by}"
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return f"{name}: the body is no JSON"
    if not isinstance(document, dict):
        return f"{name}: the body is no JSON object"
    missing = request.keys - document.keys()
    return f"{name}: the body has no {', '.join(sorted(missing))}" if missing else None
