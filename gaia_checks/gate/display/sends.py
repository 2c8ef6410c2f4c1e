"""What each look would do to a target, in words and numbers: for `pytest --env=NAME --dry-run`. Pure.

One entry per look of criteria.toml, and one for the gate itself. A description names every parameter of its look, as
`{window_s:g}`, so that a new parameter must be described here; paths are the contract's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gaia_checks.probes import health
from gaia_checks.probes.figures import steady_traffic
from gaia_checks.probes.monitoring import expected_increase
from gaia_checks.recorders.instances import shared_state
from gaia_checks.recorders.limits import burst_plan
from gaia_checks.recorders.limits.burst_plan import Burst

Parameters = Mapping[str, float]
Number = Callable[[Parameters], float]

TARGET = "target"
COPY = "rehearsal copy"


def _bursts(look: Parameters) -> Sequence[Burst]:
    return burst_plan.plan(int(look["clients"]), min(look["window_s"], burst_plan.ENDS_S))


def _limits(look: Parameters) -> int:
    return sum(map(len, burst_plan.rules(int(look["clients"])).values()))


def _none(_: Parameters) -> float:
    return 0


@dataclass(frozen=True, slots=True)
class Sends:
    """One look: what it does and where, and its amounts as functions of its parameters."""

    what: str
    where: str = TARGET
    requests: Number = _none  # over HTTP, in its window
    connections: Number = _none  # WebSockets
    rules: Number = _none  # created, each removed at the end
    lasts_s: Number = lambda parameters: parameters.get("window_s", 0)


GATE = Sends(
    "lists the rules, removes those of an earlier killed gate, creates and removes the temporary rule of this run; "
    "searches the rules and the database's tables for what is left of it; "
    "reads /health, /metrics, /api/admin/quotas and /ws/admin/quotas once, to find out what is there, and at the end "
    "once more, to find out whether everything still works",
    requests=lambda _: 11,
    connections=lambda _: 2,
    rules=lambda _: 1,
)
"""The requests of the gate itself, whatever its looks."""

OWN = Sends("a look of your own: what its test beside your criteria file sends")
"""A look that gaia-checks does not know."""

UNANNOUNCED = 2 * (10 + 3)
"""Requests of the client without key and token: ten are the most that a small limit admits, and three are too many."""

SOAK_REQUESTS = 6 + 101 + 4
"""Two violations, the alert that fires above 100 violations, two rules created and removed."""

FIGURES_REQUESTS = 200
"""About, beside the stream: 29 that are counted, and the pages of lists, of which a longer one takes no more."""

LOAD_RATE = "load_rate_per_s"
"""The name under which every look has the rate of the environment's load."""

COUNT = "count"
"""The name under which the look `instances` has the number of instances that the environment file names."""

EACH_INSTANCE = (shared_state.EACH + 1) + (shared_state.EACH + 2) + 3 + 3
"""Requests under a shared rule, under an own one, and those that make and remove it."""

MONITORING_BESIDE = 1 + 2 + 3 + 1
"""GET /health, two scrapes, a rule created, listed and removed, and the firing alerts."""

SENDS: Mapping[str, Sends] = {
    "process": Sends(
        "reads the process's start and executable; GET /health if the process is known", requests=lambda _: 1
    ),
    "database": Sends(
        "GET /health; reads pg_stat_activity in the database; on a rehearsal copy the names of all sessions",
        requests=lambda _: 1,
    ),
    "migrations": Sends(
        "reads schema_migrations and the definitions of all objects in the database; compares them with a temporary "
        "database on the same server, made from the release's migrations, and a rehearsal copy before and after its "
        "server starts",
        "database",
    ),
    "health": Sends(
        f"{{requests:g}} x GET /health, {{spacing_s:g}} s apart, and {health.AT_ONCE} at once; then a few beside lists "
        "that are read, until its pool is busy and not full",
        requests=lambda look: look["requests"] + health.AT_ONCE + health.ROUND + health.REST_ROUNDS,
        lasts_s=lambda look: look["requests"] * look["spacing_s"],
    ),
    "api": Sends(
        "every route of /api/admin/quotas; creates, changes and removes rules; sends bad input that must be refused, "
        "and made-up secrets that no response, metric or log line may contain",
        requests=lambda _: 63,
        connections=lambda _: 1,
        rules=lambda _: 3,
        lasts_s=lambda _: 1,
    ),
    "websocket": Sends(
        "listens at /ws/admin/quotas for stats ({stats_within_s:g} s) and a heartbeat ({heartbeat_within_s:g} s), "
        "and {tolerance_s:g} s more; one more client sends a message above 4 KiB",
        connections=lambda _: 2,
        lasts_s=lambda look: max(look["stats_within_s"], look["heartbeat_within_s"]) + look["tolerance_s"],
    ),
    "log": Sends(
        "reads the log until the process is {window_s:g} s old; GET /health if its start is unknown",
        "log",
        requests=lambda _: 1,
    ),
    "load": Sends(
        "{rate_per_s:g} requests a second for {window_s:g} s, or up to {max_window_s:g} s while undecided: reads of "
        "/api/admin/quotas and /health, 1 % rewrite the load's temporary rule; a pass must be valid even if requests "
        "fail {failing_burst_s:g} s at a time and are slow {slow_burst_s:g} s at a time",
        requests=lambda look: look["rate_per_s"] * look["window_s"],
        rules=lambda _: 1,
    ),
    "limits": Sends(
        "requests unknown paths (404) below /api/admin/quotas, at most {clients:g} at once, for {window_s:g} s: up to "
        "the limits of temporary rules, and a few more that must be refused, half of them claiming another address; "
        "before all looks and after them /api/admin/quotas/usage without key and token, a little more often than a "
        "small limit admits",
        requests=lambda look: sum(len(burst.keys) for burst in _bursts(look)) + 2 * _limits(look) + UNANNOUNCED,
        rules=_limits,
    ),
    "quotas": Sends(
        "uses up a daily, a weekly and a monthly quota; requests beyond must be refused; on the rehearsal copy also "
        "across a crash, and with stored times moved to the edges of their periods",
        f"{TARGET}, {COPY}",
        requests=lambda _: 117,
        rules=lambda _: 3,
    ),
    "figures": Sends(
        "sends requests under temporary rules, some of which must be refused, and compares them with every report: "
        "usage, violations, analytics, lists page by page, /metrics and /ws/admin/quotas; most of them ask for an "
        f"unknown path (404) below /api/admin/quotas, for {steady_traffic.LASTS_S:g} s at the load's rate, or at "
        f"{steady_traffic.MOST_PER_S} a second if that is less; on a rehearsal copy also analytics of moved times",
        requests=lambda look: FIGURES_REQUESTS + steady_traffic.requests(look[LOAD_RATE]),
        connections=lambda _: 20,
        rules=lambda _: 7,
        lasts_s=lambda _: 9,
    ),
    "access": Sends(
        "every method of every admin route, and WebSockets, without a token, with a few wrong ones and from other "
        "sites; aimed at a rule and a user of this run",
        requests=lambda _: 295,
        connections=lambda _: 15,
        rules=lambda _: 2,
        lasts_s=lambda _: 3,
    ),
    "identity": Sends(
        "requests as keys, users and sessions of this run, and a few without a token that claim to be somebody else; "
        "changes, disables and deletes temporary rules",
        requests=lambda _: 300,
        rules=lambda _: 55,
        lasts_s=lambda _: 6,
    ),
    "soak": Sends(
        "{clients:g} WebSockets listen at /ws/admin/quotas for {window_s:g} s; early on, requests exceed two temporary "
        "rules for 5 s, which makes the server's alert fire; one more client answers no ping; on a rehearsal "
        "copy clients come and go while others listen",
        requests=lambda _: SOAK_REQUESTS,
        connections=lambda look: look["clients"] + 3,
        rules=lambda _: 2,
    ),
    "instances": Sends(
        "GET /health of each instance every {interval_s:g} s for {window_s:g} s; at first, requests to all in turn "
        "and at once under temporary rules, each made on one instance, used up on the next and removed there, while a "
        "WebSocket listens at each",
        requests=lambda look: look.get(COUNT, 2) * (look["window_s"] / look["interval_s"] + 1 + EACH_INSTANCE),
        connections=lambda look: look.get(COUNT, 2),
        rules=lambda look: look.get(COUNT, 2) + 2,
    ),
    "dashboard": Sends(
        "a browser signs in at /admin/quotas and opens its six tabs, each within {ready_within_s:g} s; it shows a "
        "refusal within {live_within_s:g} s, and reconnects within {reconnect_within_s:g} s after a connection loss",
        requests=lambda _: 80,
        connections=lambda _: 2,
        rules=lambda _: 2,
    ),
    "memory": Sends(
        "reads the process, or GET /metrics if it is on another machine, every {interval_s:g} s for {window_s:g} s; "
        "on a rehearsal copy before and after thousands of requests and many changes of rules",
        requests=lambda look: look["window_s"] / look["interval_s"] + 1,
    ),
    "connections": Sends(
        "GET /metrics, and pg_stat_activity in the database, every {interval_s:g} s for {window_s:g} s; on a rehearsal "
        "copy while requests wait for the database, and after the retention has run",
        requests=lambda look: look["window_s"] / look["interval_s"] + 1,
    ),
    "protection": Sends(
        "{rate_per_s:g} requests a second for {window_s:g} s, half of them floods at ten times the limit of temporary "
        "rules, which must be refused; a pass must be valid even if requests are slow {slow_burst_s:g} s at a time",
        requests=lambda look: look["rate_per_s"] * look["window_s"],
        rules=lambda look: max(1, min(5, look["rate_per_s"] // 20)),
    ),
    "monitoring": Sends(
        "GET /metrics before and after a few requests to /health, /livez and /api/admin/quotas, some of which a "
        "temporary rule must refuse",
        requests=lambda _: sum(kind.times for kind in expected_increase.SENT) + MONITORING_BESIDE,
        rules=lambda _: 1,
    ),
    "shutdown": Sends(
        "ends the server by SIGTERM with requests and {clients:g} WebSockets under way, then by SIGKILL, and starts it "
        "again each time; another one by SIGTERM while requests follow each other",
        COPY,
    ),
    "fresh_install": Sends(
        "two servers on a new database: quick requests without a token, requests that a proxy forwards, wrong tokens, "
        "races for one limit, and rules that refuse everything",
        COPY,
    ),
    "outage": Sends(
        "stops, restarts and freezes the database, refuses connections to it and locks the counts while clients send",
        COPY,
    ),
    "resources": Sends(
        "{requests:g} clients connect for a request, some faulty or broken off, and {websockets:g} for a WebSocket, "
        "which most of them abandon; what the server keeps of them is counted",
        COPY,
    ),
    "rollback": Sends("deploys the release, rolls back to the previous one, and migrates the schema down and up", COPY),
    "no_regression": Sends(
        "starts the previous release and this one {starts:g} times each, and sends both the same {pairs:g} requests, "
        "one after the other; nothing where no previous release is kept",
        COPY,
    ),
    "certificate": Sends("reads the certificate in one TLS handshake, or two if clients refuse it; none without https"),
}
"""Look -> its description."""
