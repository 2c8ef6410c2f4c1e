"""What must move in /metrics from one scrape to the next, given what was sent between them. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gaia_checks.target.prometheus_text import Exposition
from gaia_checks.target.responses import CONFIG

_QUOTAS = "/api/admin/quotas"
_BLUR_S = 0.02  # by which a server's clock and ours may differ meanwhile, and a rounded figure be wrong
_LEAST_CPU_S = 0.001


@dataclass(frozen=True, slots=True)
class Kind:
    """Requests of one kind."""

    path: str  # without parameters: its own template, and so the route that it is counted by
    times: int
    status: int = 200  # what each is to be answered with
    strictly: bool = False  # by the key that may ask but once a minute


REFUSED = Kind(CONFIG, 3, 429, strictly=True)

SENT = (
    Kind("/health", 4),
    Kind("/livez", 2),
    Kind(CONFIG, 5),
    Kind(f"{_QUOTAS}/usage", 3),
    Kind(f"{_QUOTAS}/nothing", 2, 404),
    Kind(CONFIG, 1, strictly=True),
    REFUSED,
)


@dataclass(frozen=True, slots=True)
class Scrape:
    """One answer of /metrics, and between which moments it was made."""

    began_s: float
    ended_s: float
    said: Exposition = field(default_factory=Exposition)
    wrong: str | None = None  # why it could not be read


@dataclass(frozen=True, slots=True)
class Growth:
    """A counter that has grown by at least so much; others may be counted by it as well."""

    name: str
    by: float
    labels: Mapping[str, str] = field(default_factory=dict)

    def missed(self, before: Scrape, after: Scrape) -> str | None:
        """Say so when it has not."""
        grew = after.said.total(self.name, self.labels) - before.said.total(self.name, self.labels)
        series = self.name + "".join(f" {label}={value}" for label, value in self.labels.items())
        return None if grew >= self.by else f"{series}: grew by {grew:g} instead of {self.by:g} or more"


def expected(right: Mapping[Kind, int], rule_id: str) -> list[Growth]:
    """Return what must have grown once so many requests of each kind were answered as they should be."""
    limited = sum(times for kind, times in right.items() if kind.path.startswith("/api/"))
    refused = right.get(REFUSED, 0)
    strict = {"scope": "api_key", "limit_type": "requests_per_minute"}
    return [
        *(growth for kind, times in right.items() for growth in _answered(kind, times)),
        Growth("gaia_rate_limit_decisions_total", limited - refused, {"decision": "admitted"}),
        Growth("gaia_rate_limit_decisions_total", refused, {"decision": "denied", "scope": "api_key"}),
        Growth("gaia_rate_limit_rule_decisions_total", refused, {"decision": "denied", "rule_id": rule_id}),
        Growth("gaia_rate_limit_violations_total", refused, strict),
        Growth("gaia_rate_limit_decision_duration_seconds_count", limited),
        Growth("gaia_rate_limit_batch_size_sum", limited),
        Growth("process_cpu_seconds_total", _LEAST_CPU_S),
    ]


def wrong_time(before: Scrape, after: Scrape) -> str | None:
    """Say so when the server's uptime did not move as time did: what somebody remembered is not how it is now."""
    moved_s = after.said.total("gaia_uptime_seconds", {}) - before.said.total("gaia_uptime_seconds", {})
    least_s, most_s = after.began_s - before.ended_s, after.ended_s - before.began_s
    if least_s - _BLUR_S <= moved_s <= most_s + _BLUR_S:
        return None
    return f"gaia_uptime_seconds: moved by {moved_s:.3f} s between scrapes {least_s:.3f} to {most_s:.3f} s apart"


def _answered(kind: Kind, times: int) -> Iterator[Growth]:
    route = {"route": kind.path} if kind.status == 200 else {}  # what is refused or not there was not routed
    yield Growth("gaia_http_requests_total", times, {"method": "GET", "status": str(kind.status), **route})
    yield Growth("gaia_http_request_duration_seconds_count", times, route)
