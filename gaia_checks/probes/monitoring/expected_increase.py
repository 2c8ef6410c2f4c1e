"""The expected increases in /metrics between two scrapes, given the requests sent between them. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gaia_checks.target.prometheus_text import Exposition
from gaia_checks.target.responses import CONFIG, QUOTAS

_BLUR_S = 0.02  # the clock drift between server and gate, plus rounding
_LEAST_CPU_S = 0.001
_REQUESTS = "gaia_http_requests_total"
_DURATION = "gaia_http_request_duration_seconds"


@dataclass(frozen=True, slots=True)
class Kind:
    """Requests of one kind."""

    path: str  # without parameters: equal to the route template of its counters
    times: int
    status: int = 200  # the expected status
    strictly: bool = False  # by the key limited to one request a minute


UNKNOWN = Kind(f"{QUOTAS}/nothing", 2, 404)
REFUSED = Kind(CONFIG, 3, 429, strictly=True)

SENT = (
    Kind("/health", 4),
    Kind("/livez", 2),
    Kind(CONFIG, 5),
    Kind(f"{QUOTAS}/usage", 3),
    UNKNOWN,
    Kind(CONFIG, 1, strictly=True),
    REFUSED,
)


@dataclass(frozen=True, slots=True)
class Scrape:
    """One answer of /metrics, and the times of its request and answer."""

    started_s: float
    finished_s: float
    exposition: Exposition = field(default_factory=Exposition)
    wrong: str | None = None  # why it is unreadable


@dataclass(frozen=True, slots=True)
class ExpectedIncrease:
    """A minimum increase of a counter; other clients may increase it further."""

    name: str
    by: float
    labels: Mapping[str, str] = field(default_factory=dict)

    def missed(self, before: Scrape, after: Scrape) -> str | None:
        """Return the fault when the increase is missing."""
        grew = after.exposition.increase(before.exposition, self.name, self.labels)
        series = self.name + "".join(f" {label}={value}" for label, value in self.labels.items())
        return None if grew >= self.by else f"{series}: grew by {grew:g} instead of {self.by:g} or more"


def expected(right: Mapping[Kind, int], rule_id: str) -> list[ExpectedIncrease]:
    """Return the expected increases for these numbers of correctly answered requests of each kind."""
    limited = sum(times for kind, times in right.items() if kind.path.startswith("/api/"))
    refused = right.get(REFUSED, 0)
    strict = {"scope": "api_key", "limit_type": "requests_per_minute"}
    return [
        *(increase for kind, times in right.items() for increase in _answered(kind, times)),
        ExpectedIncrease("gaia_rate_limit_decisions_total", limited - refused, {"decision": "admitted"}),
        ExpectedIncrease("gaia_rate_limit_decisions_total", refused, {"decision": "denied", "scope": "api_key"}),
        ExpectedIncrease("gaia_rate_limit_rule_decisions_total", refused, {"decision": "denied", "rule_id": rule_id}),
        ExpectedIncrease("gaia_rate_limit_violations_total", refused, strict),
        ExpectedIncrease("gaia_rate_limit_decision_duration_seconds_count", limited),
        ExpectedIncrease("gaia_rate_limit_batch_size_sum", limited),
        ExpectedIncrease("process_cpu_seconds_total", _LEAST_CPU_S),
    ]


def wrong_time(before: Scrape, after: Scrape) -> str | None:
    """Return the fault when the server's uptime does not advance with time: then the metrics come from a cache."""
    moved_s = after.exposition.increase(before.exposition, "gaia_uptime_seconds", {})
    least_s, most_s = after.started_s - before.finished_s, after.finished_s - before.started_s
    if least_s - _BLUR_S <= moved_s <= most_s + _BLUR_S:
        return None
    return f"gaia_uptime_seconds: moved by {moved_s:.3f} s between scrapes {least_s:.3f} to {most_s:.3f} s apart"


def wrong_durations(right: Mapping[Kind, int], before: Scrape, after: Scrape) -> Iterator[str | None]:
    """Yield the fault of each route whose requests, sent one by one, took longer together than there was time.

    Where other clients' requests were counted too, nothing is known.
    """
    served: Counter[str] = Counter()
    for kind, times in right.items():
        served[kind.path] += times if kind.status == 200 else 0
    most_s = after.finished_s - before.started_s
    for path, times in served.items():
        counted, took_s = (
            after.exposition.increase(before.exposition, f"{_DURATION}_{part}", {"route": path})
            for part in ("count", "sum")
        )
        wrong = counted == times and took_s > most_s + _BLUR_S
        yield f"{_DURATION}_sum route={path}: grew by {took_s:.3f} within {most_s:.3f} s" if wrong else None


def invented_label(after: Scrape) -> str | None:
    """Return the fault when a path without a route became a label: then every client makes new series."""
    series = f"{_REQUESTS} route={UNKNOWN.path}"
    invented = after.exposition.total(_REQUESTS, {"route": UNKNOWN.path})
    return f"{series}: a path that no route has is a label, so every client can make new series" if invented else None


def _answered(kind: Kind, times: int) -> Iterator[ExpectedIncrease]:
    route = {"route": kind.path} if kind.status == 200 else {}  # refused and unknown requests have no route
    yield ExpectedIncrease(_REQUESTS, times, {"method": "GET", "status": str(kind.status), **route})
    yield ExpectedIncrease(f"{_DURATION}_count", times, route)
