"""Which faults turn which criterion red: small changes outside the product, each of which turns no other one red."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.faults import breaking
from tests.faults.breaking import Break, done, saying, wrong, wrong_before
from tests.faults.place import Changes, Looks
from tests.faults.wrong import (
    Answered,
    Changed,
    Dropped,
    Forgetting,
    Holding,
    Late,
    Muted,
    Remembered,
    Slow,
    Unable,
    Unlimited,
)

SHORT: Looks = {
    "health": {"requests": 10, "spacing_s": 0.02},
    "log": {"window_s": 2},
    "load": {"window_s": 5, "max_window_s": 5},
    "limits": {"window_s": 5},
    "soak": {"window_s": 12},
    "dashboard": {"ready_within_s": 4, "reconnect_within_s": 6},
    "memory": {"window_s": 3},
    "connections": {"window_s": 5},
    "protection": {"rate_per_s": 60, "window_s": 4},
}
"""Windows in which what the faults do shows."""

BUSY: Looks = {**SHORT, "load": {"rate_per_s": 320, "window_s": 50, "max_window_s": 50}}
"""16,000 requests, of which 15 fail: 99.95 % are not kept, 99.9 % are."""

FLOODED: Looks = {**SHORT, "protection": {"window_s": 6}}
"""At the rate that criteria.toml names, floods have limits that can be told apart from nothing."""


@dataclass(frozen=True)
class Fault:
    """One fault, and how the verdict names it."""

    name: str
    breaks: Break
    seen: str  # stands in the reason of the verdict
    looks: Looks = field(default_factory=lambda: SHORT)
    changes: tuple[Changes, ...] = ()  # in the migrations of what is deployed


_LOOK_AT_HEALTH = "GET /health\n.*no-cache"
_OTHERS_AT_HEALTH = "GET /health\n(?!.*no-cache)"
_QUOTAS = "/api/admin/quotas"
_SOAK = "GET /ws/(?!.*sec-websocket-extensions)"  # its clients ask for no compression
_BROWSER = "GET /ws/.*origin: "
_LIMITS = r"x-api-key: \S*-limits-"
_FLOOD = r"x-api-key: \S*-flood-"
_LOAD = r"\?limit=20\n"  # so many are asked for by the load alone

FAULTS: Mapping[str, tuple[Fault, ...]] = {
    "dev.process": (
        Fault("the server is killed and comes back", breaking.crashing_after_the_websocket, "process"),
        Fault("the executable on disk is another", breaking.other_bytes_on_disk, "sha256"),
        Fault(
            "the server says it is another release",
            wrong(Changed(asks=_OTHERS_AT_HEALTH, old='"digest":"[0-9a-f]{4}', new='"digest":"0000')),
            "/health says digest",
        ),
    ),
    "dev.database": (
        Fault("the server has no session in the database", breaking.another_database, "server_sessions is 0"),
        Fault(
            "the server says it is not connected",
            wrong(Changed(asks=_OTHERS_AT_HEALTH, old='"connected"', new='"disconnected"')),
            "health_says_connected is false",
        ),
    ),
    "dev.migrations": (
        Fault(
            "a migration is missing",
            done(
                "CREATE SCHEMA away; CREATE TABLE away.row AS SELECT * FROM schema_migrations "
                "WHERE version = '050_phase2_reputation'; "
                "DELETE FROM schema_migrations WHERE version = '050_phase2_reputation'",
                undone="INSERT INTO schema_migrations SELECT * FROM away.row; DROP SCHEMA away CASCADE",
            ),
            "050_phase2_reputation is not applied",
        ),
        Fault(
            "a migration was applied from another file",
            done(
                "UPDATE schema_migrations SET checksum = reverse(checksum)",
                undone="UPDATE schema_migrations SET checksum = reverse(checksum)",
            ),
            "was applied from another file",
        ),
        Fault(
            "an index is invalid",
            done(
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'rate_limit_alerts_fired_at_idx'::regclass",
                undone="UPDATE pg_index SET indisvalid = true "
                "WHERE indexrelid = 'rate_limit_alerts_fired_at_idx'::regclass",
            ),
            "rate_limit_alerts_fired_at_idx",
        ),
    ),
    "dev.health": (
        Fault("health answers 500", wrong(Answered(asks=_LOOK_AT_HEALTH, status=500)), "status 500 instead of 200"),
        Fault(
            "every fifth answer is 500", wrong(Answered(asks=_LOOK_AT_HEALTH, every=5, status=500)), "8 of 10 correct"
        ),
        Fault(
            "health is degraded",
            wrong(Changed(asks=_LOOK_AT_HEALTH, old='"healthy"', new='"degraded"')),
            "status is 'degraded'",
        ),
    ),
    "dev.api": (
        Fault("a route answers 500", wrong(Answered(asks=f"GET {_QUOTAS}/usage", status=500)), "status 500"),
        Fault("a route is lost", wrong(Answered(asks=f"GET {_QUOTAS}/analytics", status=404)), "status 404"),
        Fault("a name is taken twice", wrong(Changed(asks="POST ", of=409, status=201)), "status 201 instead of 409"),
        Fault("bad input is taken", wrong(Changed(asks="POST ", of=422, status=201)), "status 201 instead of 422"),
    ),
    "dev.websocket": (
        Fault("heartbeats stop", wrong(Muted(asks="GET /ws/", says='"heartbeat"')), "first_heartbeat is 11.5 s"),
        Fault("the first numbers come late", wrong(Late(asks="GET /ws/", says='"stats"', seconds=8)), "first_stats is"),
        Fault(
            "messages are numbered wrongly",
            wrong(Changed(asks="GET /ws/", old=r'"seq":(\d+)', new=r'"seq":1\1')),
            "seq 11 instead of 1",
        ),
        Fault(
            "times say no time zone", wrong(Changed(asks="GET /ws/", old=r'(\.\d{3})Z"', new=r'\1"')), "is not RFC 3339"
        ),
    ),
    "dev.log": (
        Fault("an error is logged", saying('{"level": "error", "msg": "seeded"}'), "seeded"),
        Fault("a traceback is in the log", saying("Traceback (most recent call last):"), "Traceback"),
    ),
    "qa.load": (
        Fault("every 20th request is refused", wrong(Answered(asks=_LOAD, every=20, status=503)), "status 503"),
        Fault("some answers are no JSON", wrong(Answered(asks=_LOAD, every=20, status=200, body="<p>")), "no JSON"),
        Fault("some answers never come", wrong(Slow(asks=_LOAD, every=20, seconds=60)), "no reply"),
    ),
    "qa.rate_limiting": (
        Fault("requests pass beyond a limit", wrong(Unlimited(asks=_LIMITS, every=7)), "admissions beyond a limit"),
        Fault(
            "requests are refused within a limit",
            wrong(Changed(asks=_LIMITS, every=10, of=404, status=429)),
            "refusals within a limit",
        ),
        Fault(
            "a refusal does not say where the limit stands",
            wrong(Changed(asks=_LIMITS, of=429, without="ratelimit")),
            "429 of",
        ),
    ),
    "qa.quotas": (
        Fault(
            "usage is told wrongly",
            wrong(Changed(asks="usage.*-quotas-daily_quota", old=r'"used":(\d+)', new=r'"used":1\1')),
            "daily_quota",
        ),
        Fault(
            "counts are lost when the server starts",
            wrong(Forgetting(statement="UPDATE resource_quotas SET used = 0")),
            "after the crash",
        ),
    ),
    "qa.websocket_soak": (
        Fault("connections end after 11 s", wrong(Dropped(asks=_SOAK, after_s=11)), "after 11.0 s"),
        Fault(
            "an alert goes out as something else",
            wrong(Changed(asks=_SOAK, old='"type":"alert"', new='"type":"heartbeat"')),
            "0 of 50",
        ),
        Fault(
            "some clients wait too long for numbers",
            wrong(Late(asks=_SOAK, every=20, says='"stats"', seconds=7)),
            "soak.stats_gap is",
        ),
    ),
    "qa.dashboard": (
        Fault(
            "a tab gets no data",
            wrong(Answered(asks=f"GET {_QUOTAS}/alerts", status=500)),
            "Alerts: the panel stayed busy",
        ),
        Fault(
            "a script of the page fails",
            wrong(Changed(asks="GET /admin/assets/main.js", old=r"\A", new="setTimeout(() => { throw 'seeded' });")),
            "script error: seeded",
        ),
        Fault(
            "the page cannot connect again",
            wrong(Dropped(asks=_BROWSER, spared=1, after_s=0)),
            "dashboard.reconnected is false",
        ),
    ),
    "prod.success_rate": (
        Fault(
            "one request in a thousand answers 500",
            wrong(Answered(asks=rf"/config{_LOAD}", every=210, status=500)),
            "/config: status 500 instead of 200",
            BUSY,
        ),
        Fault(
            "one answer in a thousand is no JSON",
            wrong(Answered(asks=rf"/config{_LOAD}", every=210, status=200, body="<p>")),
            "/config: the body is no JSON",
            BUSY,
        ),
    ),
    "prod.latency": (
        Fault("analytics take 200 ms", wrong(Slow(asks=f"GET {_QUOTAS}/analytics", seconds=0.2)), "p99 is 2"),
        Fault("reading one rule takes 200 ms", wrong(Slow(asks=rf"GET {_QUOTAS}/config/\d", seconds=0.2)), "p99 is 2"),
    ),
    "prod.memory": (
        Fault("the server holds 600 MB", wrong(Holding(megabytes=600)), "memory.peak is 6"),
        Fault("a child of it holds 600 MB", wrong(Holding(megabytes=600, by_a_child=True)), "memory.peak is 6"),
    ),
    "prod.connections": (
        Fault("a session is idle in a transaction", breaking.idle_in_a_transaction, "idle_in_transaction is 1"),
        Fault("a session waits for a lock", breaking.waiting_for_a_lock, "waiters is 1"),
        Fault(
            "the pool is exhausted",
            wrong(Changed(asks="GET /metrics", old=r"(pool_in_use) [\d.]+", new=r"\1 10.0")),
            "peak_of_pool is 1",
        ),
    ),
    "prod.protection": (
        Fault("a flood passes its limit", wrong(Unlimited(asks=_FLOOD)), "admitted_of_limit is", FLOODED),
        Fault(
            "everybody waits while there is a flood",
            wrong(Slow(asks=_LOAD, seconds=0.3, beside=_FLOOD)),
            "p99 is 3",
            FLOODED,
        ),
    ),
    "prod.monitoring": (
        Fault("there are no metrics", wrong(Answered(asks="GET /metrics", status=404)), "status 404"),
        Fault("the metrics are remembered", wrong(Remembered(asks="GET /metrics")), "gaia_uptime_seconds"),
        Fault(
            "a metric has another name",
            wrong(Changed(asks="GET /metrics", old="gaia_websocket_clients", new="gaia_websocket_client")),
            "gaia_websocket_clients",
        ),
    ),
    "prod.rollback": (
        Fault("the release before does not start", wrong_before(Unable()), "seeded"),
        Fault(
            "the release before forgets what was counted",
            wrong_before(Forgetting(statement="UPDATE resource_quotas SET used = 0")),
            "going back: daily_quota",
        ),
        Fault(
            "a rollback file leaves a table",
            breaking.nothing,
            "rate_limit_stats: not taken away by the rollback files",
            changes=(("rollback/050_rate_limiting.sql", "DROP TABLE rate_limit_stats;\n", ""),),
        ),
    ),
}
"""criterion -> its faults. A gate is short, ends early, and is of the stage that first promises the criterion."""
