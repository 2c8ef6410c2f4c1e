"""The traffic as data: requests, their weights and their expected responses. Pure."""

import bisect
import itertools
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from gaia_checks import contract
from gaia_checks.contract import inline_translator
from gaia_checks.contract.adapter import HttpAnswer, HttpRequest
from gaia_checks.load.http.response_parser import LARGEST_MB, HttpResponse
from gaia_checks.model import Names

_NAME_A_LIMIT = ("ratelimit", "x-ratelimit-limit")

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
    keys: frozenset[str] = frozenset()  # required in the JSON object that is then the body
    json: bool = False  # the body must be a JSON object, whatever its keys
    text: str = ""  # required in the body
    name: str = ""  # name in the statistics; default: the path without its query
    headers: Mapping[str, str] = field(default_factory=dict)  # in addition to the common headers
    flood: bool = False  # meant to be refused: counted separately, excluded from success rate and latency
    at_most_per_s: float | None = None  # of a flood: admissions allowed per worker
    ours: str = ""  # method and path of the contract, where an adapter translates the answers

    @property
    def label(self) -> str:
        """Its name in messages and statistics."""
        return self.name or self.path.partition("?")[0]

    def under(self, names: Names) -> Self:
        """Return the request with a server's own names. Raises AdapterError."""
        theirs = contract.outgoing(
            names, HttpRequest(self.method, self.path, self.headers, self.body), inline_translator.running
        )
        changed = replace(
            self, method=theirs.method, path=theirs.path, headers=theirs.headers, body=theirs.body, name=self.label
        )
        if names.adapter:
            return replace(changed, ours=f"{self.method} {self.path}")
        return replace(changed, keys=frozenset(names.fields.get(key, key) for key in self.keys))


@dataclass(frozen=True, slots=True)
class Mix:
    """Several kinds of requests in proportion to their weights."""

    requests: Sequence[Request]
    names: Names = field(default_factory=Names)  # of the server, where an adapter translates the answers
    _edges: tuple[float, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Raise ValueError for an empty mix or a weight that is not positive."""
        edges = tuple(itertools.accumulate(request.weight for request in self.requests))
        if not edges or not all(request.weight > 0 for request in self.requests):
            raise ValueError("a mix needs requests, and every request a weight above 0")
        object.__setattr__(self, "_edges", edges)

    def choose(self, index: int) -> Request:
        """Return the request of one arrival: deterministic, with every kind evenly spread over time."""
        return self.requests[self.number(index)]

    def number(self, index: int) -> int:
        """Return the index in `requests` of one arrival's request."""
        return bisect.bisect_right(self._edges, (index * _GOLDEN) % 1.0 * self._edges[-1])

    def under(self, names: Names) -> Self:
        """Return the same traffic with a server's own names; the names in the statistics stay the contract's."""
        if names == Names():
            return self
        requests = [request.under(names) for request in self.requests]
        return replace(self, requests=requests, names=names if names.adapter else Names())

    def to_json(self) -> dict[str, Any]:
        """Return the mix as JSON."""
        requests = [
            {**asdict(request), "expected": sorted(request.expected), "keys": sorted(request.keys)}
            for request in self.requests
        ]
        return {"requests": requests, "names": asdict(self.names)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        requests = [
            Request(**{**table, "expected": frozenset(table["expected"]), "keys": frozenset(table["keys"])})
            for table in document["requests"]
        ]
        return cls(requests, Names(**document["names"]))

    def translated(self, number: int, answer: HttpResponse) -> HttpResponse:
        """Return the response to the request at this index in the contract's words, where an adapter is needed.

        Raises AdapterError.
        """
        if not self.names.adapter:
            return answer
        method, _, path = self.requests[number].ours.partition(" ")
        lines = [line.partition(":") for line in answer.head.decode("latin-1").split("\r\n") if ":" in line]
        theirs = HttpAnswer(answer.status, {name.lower(): value.strip() for name, _, value in lines}, _value(answer))
        ours = contract.incoming(self.names, HttpRequest(method, path), theirs, inline_translator.running)
        head = "\r\n".join(f"{name}: {value}" for name, value in ours.headers.items()).encode("latin-1")
        body = answer.body if ours.body is None else json.dumps(ours.body).encode()
        return HttpResponse(ours.status, head, body, answer.keep)


class Expectations:
    """Checks the responses to a mix. Caches the last valid one, because an identical response is valid as well."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._requests = requests
        self._good = [(0, b"")] * len(requests)

    def problem(self, number: int, answer: HttpResponse) -> str | None:
        """Return the problem of the response to the request at this index, None when it is valid."""
        if self._good[number] == (answer.status, answer.body):
            return None
        limit = answer.header("ratelimit") if answer.status == 429 else None
        wrong = problem(self._requests[number], answer, limit)
        if wrong is None:
            self._good[number] = (answer.status, answer.body)
        return wrong


def limited(request: Request, answer: HttpResponse) -> bool:
    """Whether a rule refused a request: 429, and it names the limit. Without a name the server just failed to serve.

    A flood is meant to be refused, so its refusals need no name to count as such.
    """
    return answer.status == 429 and (request.flood or any(map(answer.header, _NAME_A_LIMIT)))


def _value(answer: HttpResponse) -> Any:
    """Return the JSON value in a body; None for anything else."""
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def spread(index: int, parts: int) -> int:
    """Return the part, of several equal ones, that an arrival belongs to; all are evenly spread over time."""
    return int((index * _GOLDEN) % 1.0 * parts)


def problem(request: Request, answer: HttpResponse, limit: str | None = None) -> str | None:
    """Return the problem of a response, None when it has the expected status and what the mix requires of its body.

    `limit` is the RateLimit header of a refusal.
    """
    name = f"{request.method} {request.label}"
    if answer.status not in request.expected:
        expected = " or ".join(map(str, sorted(request.expected)))
        by = f", by the limit {limit or '(not named in the response)'}" if answer.status == 429 else ""
        return f"{name}: status {answer.status} instead of {expected}{by}"
    if not (request.keys or request.json or request.text):
        return None
    try:
        body = decoded(answer)
    except ValueError as error:
        return f"{name}: {error}"
    if request.text.encode() not in body:
        return f"{name}: the body does not contain {request.text!r}"
    wrong = _not_json(request.keys, body) if request.keys or request.json else None
    return f"{name}: {wrong}" if wrong else None


def _not_json(keys: frozenset[str], body: bytes) -> str | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return "the body is not JSON"
    if not isinstance(document, dict):
        return "the body is not a JSON object"
    missing = keys - document.keys()
    return f"the body has no {', '.join(sorted(missing))}" if missing else None


def decoded(answer: HttpResponse) -> bytes:
    """Return the body without gzip or deflate. Raises ValueError for a damaged or huge one, and other encodings."""
    encoding = (answer.header("content-encoding") or "identity").lower()
    if encoding == "identity" or not answer.body:
        return answer.body
    if encoding not in _WINDOW_BITS:
        raise ValueError(f"the body is encoded as {encoding}, which was not offered")
    unpacker = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        body = unpacker.decompress(answer.body, LARGEST_MB * 1_000_000)
    except zlib.error as error:
        raise ValueError(f"the body is not {encoding} ({error})") from None
    if unpacker.unconsumed_tail:
        raise ValueError(f"the body is longer than {LARGEST_MB} MB without {encoding}")
    if not unpacker.eof:
        raise ValueError(f"the body is not {encoding} (it ends too early)")
    return body


_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
