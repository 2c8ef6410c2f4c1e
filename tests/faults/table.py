"""The faults of each criterion: small changes outside the product, each of which fails no other criterion."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.faults import breaking
from tests.faults.breaking import Break, done, saying, wrong, wrong_before
from tests.faults.place import Changes, Looks
from tests.faults.wrong import (
    Allocating,
    Answered,
    Cached,
    Changed,
    Closing,
    Dropped,
    Forgetting,
    Keeping,
    Late,
    Muted,
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
    "instances": {"window_s": 8},
    "memory": {"window_s": 3},
    "connections": {"window_s": 5},
    "protection": {"rate_per_s": 60, "window_s": 4},
    "no_regression": {"pairs": 500, "starts": 2},
}
"""Windows that are long enough for the faults to show."""

BUSY: Looks = {**SHORT, "load": {"rate_per_s": 320, "window_s": 50, "max_window_s": 50}}
"""16,000 requests, of which 15 fail: below 99.95 %, above 99.9 %."""

FLOODED: Looks = {**SHORT, "protection": {"window_s": 6}}
"""At the rate of criteria.toml, floods have limits that differ measurably from none."""


@dataclass(frozen=True)
class Fault:
    """One fault, and how the verdict names it."""

    name: str
    breaks: Break
    reason: str  # a part of the reason in the verdict
    looks: Looks = field(default_factory=lambda: SHORT)
    changes: tuple[Changes, ...] = ()  # in the migrations of what is deployed


_LOOK_AT_HEALTH = "GET /health\n.*no-cache"
_OTHERS_AT_HEALTH = "GET /health\n(?!.*no-cache)"
_QUOTAS = "/api/admin/quotas"
_SOAK = "GET /ws/(?!.*sec-websocket-extensions)"  # its clients ask for no compression
_BROWSER = "GET /ws/.*origin: "
_LIMITS = r"x-api-key: \S*-limits-"
_SEED = "UPDATE rate_limit_configs SET limit_value = 10 WHERE rule_name = 'default-ip-second'"
_A_KEY_HAS_A_RULE = "EXISTS (SELECT FROM rate_limit_configs WHERE scope = 'api_key')"
_OUTAGE = r"x-api-key: \S*-outage-"
_RESOURCES = r"x-api-key: \S*-resources-"
_FLOOD = r"x-api-key: \S*-flood-"
_LOAD = r"\?limit=20\n"  # only the load uses this limit

FAULTS: Mapping[str, tuple[Fault, ...]] = {
    "dev.process": (
        Fault("the server is killed and comes back", breaking.crashing_after_the_websocket, "process"),
        Fault("the executable on disk is another", breaking.other_bytes_on_disk, "sha256"),
        Fault(
            "the server reports another release",
            wrong(Changed(request=_OTHERS_AT_HEALTH, old='"digest":"[0-9a-f]{4}', new='"digest":"0000')),
            "/health says digest",
        ),
    ),
    "dev.database": (
        Fault("the server has no session in the database", breaking.another_database, "server_sessions is 0"),
        Fault(
            "the server reports no connection",
            wrong(Changed(request=_OTHERS_AT_HEALTH, old='"connected"', new='"disconnected"')),
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
            "a column has lost its default",
            done(
                "ALTER TABLE rate_limit_violations ALTER hits DROP DEFAULT",
                undone="ALTER TABLE rate_limit_violations ALTER hits SET DEFAULT 1",
            ),
            "column rate_limit_violations.hits: 'bigint NOT NULL' instead of the release's 'bigint NOT NULL DEFAULT 1'",
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
        Fault("health answers 500", wrong(Answered(request=_LOOK_AT_HEALTH, status=500)), "status 500 instead of 200"),
        Fault(
            "every fifth answer is 500",
            wrong(Answered(request=_LOOK_AT_HEALTH, every=5, status=500)),
            "2 of 10 wrong",
        ),
        Fault(
            "health is degraded",
            wrong(Changed(request=_LOOK_AT_HEALTH, old='"healthy"', new='"degraded"')),
            "status is 'degraded'",
        ),
    ),
    "dev.api": (
        Fault("a route answers 500", wrong(Answered(request=f"GET {_QUOTAS}/usage", status=500)), "status 500"),
        Fault("a route is lost", wrong(Answered(request=f"GET {_QUOTAS}/analytics", status=404)), "status 404"),
        Fault(
            "a name is taken twice", wrong(Changed(request="POST ", of=409, status=201)), "status 201 instead of 409"
        ),
        Fault(
            "a deleted rule leaves its admissions",
            breaking.nothing,
            "gate.rows_left is 1",
            changes=(
                (
                    "050_rate_limiting.sql",
                    "DELETE FROM rate_limit_ring AS r USING gone WHERE r.key = gone.key AND r.rule_id = gone.rule_id;",
                    "",
                ),
            ),
        ),
        Fault("bad input is taken", wrong(Changed(request="POST ", of=422, status=201)), "status 201 instead of 422"),
    ),
    "dev.websocket": (
        Fault("heartbeats stop", wrong(Muted(request="GET /ws/", text='"heartbeat"')), "first_heartbeat is 11.5 s"),
        Fault(
            "the first numbers come late", wrong(Late(request="GET /ws/", text='"stats"', seconds=8)), "first_stats is"
        ),
        Fault(
            "messages are numbered wrongly",
            wrong(Changed(request="GET /ws/", old=r'"seq":(\d+)', new=r'"seq":1\1')),
            "seq 11 instead of 1",
        ),
        Fault(
            "times say no time zone",
            wrong(Changed(request="GET /ws/", old=r'(\.\d{3})Z"', new=r'\1"')),
            "is not RFC 3339",
        ),
        Fault(
            "the hub is dead after the gate",
            wrong(Muted(request="GET /ws/", spared=4, text=r'"seq":([2-9]|\d\d)')),  # after four clients of the looks
            "gate.websocket_after is false; required: true; /ws/admin/quotas: 1 of 2 stats came within 11.5 s",
        ),
    ),
    "dev.log": (
        Fault("an error is logged", saying('{"level": "error", "msg": "seeded"}'), "seeded"),
        Fault("a traceback is in the log", saying("Traceback (most recent call last):"), "Traceback"),
    ),
    "qa.load": (
        Fault("every 20th request is refused", wrong(Answered(request=_LOAD, every=20, status=503)), "status 503"),
        Fault("some answers are no JSON", wrong(Answered(request=_LOAD, every=20, status=200, body="<p>")), "not JSON"),
        Fault("some answers never come", wrong(Slow(request=_LOAD, every=20, seconds=60)), "no reply"),
    ),
    "qa.rate_limiting": (
        Fault(
            "requests pass beyond a limit",
            wrong(Changed(request=_LIMITS, of=429, status=404)),
            "admissions beyond a limit",
        ),
        Fault(
            "requests are counted as another client's",
            wrong(Unlimited(request=_LIMITS, every=7)),
            "was accepted and is not in force",
        ),
        Fault(
            "requests are refused within a limit",
            wrong(Changed(request=_LIMITS, every=10, of=404, status=429)),
            "refusals within a limit",
        ),
        Fault(
            "limits are enforced while a key has a rule",
            breaking.nothing,
            "the rule default-ip-second is enabled and not in force: no rule applied",
            changes=(
                (
                    "050_rate_limiting.sql",
                    "ON c.enabled AND c.scope = ANY",
                    f"ON c.enabled AND {_A_KEY_HAS_A_RULE} AND c.scope = ANY",
                ),
            ),
        ),
        Fault(
            "a refusal does not say where the limit stands",
            wrong(Changed(request=_LIMITS, of=429, without="ratelimit")),
            "429 of",
        ),
    ),
    "qa.quotas": (
        Fault(
            "usage is reported wrongly",
            wrong(Changed(request="usage.*-quotas-daily_quota", old=r'"used":(\d+)', new=r'"used":1\1')),
            "daily_quota",
        ),
        Fault(
            "counts are lost when the server starts",
            wrong(Forgetting(statement="UPDATE resource_quotas SET used = 0")),
            "after the crash",
        ),
    ),
    "qa.access": (
        Fault(
            "a route is open to all",
            wrong(Answered(request=rf"GET {_QUOTAS}/alerts\n(?!.*(authorization|cookie))", status=200, body="{}")),
            "GET /api/admin/quotas/alerts without a token: status 200",
        ),
        Fault(
            "another site may change a rule",
            wrong(Changed(request="PUT .*origin: https://elsewhere", of=403, status=200)),
            "from https://elsewhere.test: status 200",
        ),
    ),
    "qa.identity": (
        Fault(
            "long names are counted as one",
            breaking.nothing,
            "must not share a budget",
            changes=(
                (
                    "050_rate_limiting.sql",
                    "ELSE a.scope || ':' || a.name END",
                    "ELSE a.scope || ':' || left(a.name, 64) END",
                ),
            ),
        ),
        Fault(
            "a disabled rule still refuses",
            breaking.nothing,
            "was disabled, and still applies",
            changes=(("050_rate_limiting.sql", "ON c.enabled AND c.scope = ANY", "ON c.scope = ANY"),),
        ),
    ),
    "qa.fresh_install": (
        Fault(
            "too many wrong tokens are compared",
            wrong(Changed(request=r"x-forwarded-for: 203\.0\.113\.", of=429, status=401)),
            "after 10 wrong ones of its address, is answered with status 401, not 429",
        ),
        Fault(
            "two processes admit more than one limit",
            wrong(Changed(request=r"x-api-key: \S*-fresh-raced-", of=429, status=404)),
            "160 passed a limit of 100",
        ),
    ),
    "qa.figures": (
        Fault(
            "a refusal is recorded twice",
            breaking.nothing,
            "6 hits instead of 3",
            changes=(
                (
                    "050_rate_limiting.sql",
                    "date_trunc('second', moment), moment, h.hits",
                    "date_trunc('second', moment), moment, 2 * h.hits",
                ),
            ),
        ),
        Fault(
            "the total is that of the page",
            wrong(Changed(request=f"GET {_QUOTAS}/config.*offset=", old=r'"total":\d+', new='"total":1')),
            "is 1",
        ),
    ),
    "qa.shutdown": (
        Fault(
            "edited defaults are lost when the server starts",
            wrong(
                Forgetting(
                    statement="UPDATE rate_limit_configs SET limit_value = 10 WHERE rule_name LIKE '%-ip-second'"
                )
            ),
            "limit_value of the rule default-ip-second is 10",
        ),
        Fault("WebSockets are closed as after an error", wrong(Closing(code=1011)), "closed with 1011, should be 1012"),
    ),
    "qa.instances": (
        Fault("an instance runs another build", breaking.beside_another_build, " runs digest "),
        Fault("an instance is away", breaking.beside_an_absent_one, "does not say what it runs"),
    ),
    "qa.outage": (
        Fault(
            "an outage is an internal error",
            wrong(Changed(request=_OUTAGE, of=503, status=500)),
            "answered 500 instead of 503",
        ),
        Fault(
            "an outage does not say when to come again",
            wrong(Changed(request=_OUTAGE, of=503, without="retry-after")),
            "answered 503 with Retry-After None",
        ),
    ),
    "qa.websocket_soak": (
        Fault("connections end after 11 s", wrong(Dropped(request=_SOAK, after_s=11)), "after 11.0 s"),
        Fault(
            "an alert goes out as something else",
            wrong(Changed(request=_SOAK, old='"type":"alert"', new='"type":"heartbeat"')),
            "0 of 50",
        ),
        Fault(
            "some clients wait too long for numbers",
            wrong(Late(request=_SOAK, every=20, text='"stats"', seconds=7)),
            "soak.stats_gap is",
        ),
    ),
    "qa.dashboard": (
        Fault(
            "a tab gets no data",
            wrong(Answered(request=f"GET {_QUOTAS}/alerts", status=500)),
            "Alerts: the panel stayed busy",
        ),
        Fault(
            "a script of the page fails",
            wrong(Changed(request="GET /admin/assets/main.js", old=r"\A", new="setTimeout(() => { throw 'seeded' });")),
            "script error: seeded",
        ),
        Fault(
            "the page cannot connect again",
            wrong(Dropped(request=_BROWSER, spared=2, after_s=0)),
            "dashboard.reconnected is false",
        ),
    ),
    "prod.success_rate": (
        Fault(
            "one request in a thousand answers 500",
            wrong(Answered(request=rf"/config{_LOAD}", every=210, status=500)),
            "/config: status 500 instead of 200",
            BUSY,
        ),
        Fault(
            "one answer in a thousand is no JSON",
            wrong(Answered(request=rf"/config{_LOAD}", every=210, status=200, body="<p>")),
            "/config: the body is not JSON",
            BUSY,
        ),
    ),
    "prod.latency": (
        Fault("analytics take 200 ms", wrong(Slow(request=f"GET {_QUOTAS}/analytics", seconds=0.2)), "p99 is 2"),
        Fault(
            "reading one rule takes 200 ms", wrong(Slow(request=rf"GET {_QUOTAS}/config/\d", seconds=0.2)), "p99 is 2"
        ),
    ),
    "prod.memory": (
        Fault("the server uses 600 MB", wrong(Allocating(megabytes=600)), "memory.peak is 6"),
        Fault("a child of it uses 600 MB", wrong(Allocating(megabytes=600, by_a_child=True)), "memory.peak is 6"),
    ),
    "prod.connections": (
        Fault("a session is idle in a transaction", breaking.idle_in_a_transaction, "idle_in_transaction is 1"),
        Fault("a session waits for a lock", breaking.waiting_for_a_lock, "waiters is 1"),
        Fault(
            "the pool is exhausted",
            wrong(Changed(request="GET /metrics", old=r"(pool_in_use) [\d.]+", new=r"\1 10.0")),
            "peak_of_pool is 1",
        ),
    ),
    "prod.resources": (
        Fault(
            "a descriptor is kept of each refusal",
            wrong(Keeping(request=_RESOURCES)),
            "(0.1 each), most by 300 refused requests",
        ),
        Fault(
            "100 kB are kept of each refusal",
            wrong(Keeping(request=_RESOURCES, kilobytes=100)),
            "MB by 3000 clients, most by 300 refused requests",
        ),
    ),
    "prod.protection": (
        Fault("a flood passes its limit", wrong(Unlimited(request=_FLOOD)), "admitted_of_limit is", FLOODED),
        Fault(
            "all clients wait during a flood",
            wrong(Slow(request=_LOAD, seconds=0.3, beside=_FLOOD)),
            "p99 is 3",
            FLOODED,
        ),
    ),
    "prod.monitoring": (
        Fault(
            "there are no metrics",
            wrong(Answered(request="GET /metrics", status=404)),
            "status 404",
        ),
        Fault("the metrics are cached", wrong(Cached(request="GET /metrics")), "gaia_uptime_seconds"),
        Fault(
            "a metric has another name",
            wrong(Changed(request="GET /metrics", old="gaia_websocket_clients", new="gaia_websocket_client")),
            "gaia_websocket_clients",
        ),
    ),
    "prod.certificate": (
        Fault("the certificate expires in a week", breaking.secured(ends_days=7), "days_left is 7 days"),
        Fault("the certificate is of another host", breaking.secured(name="DNS:elsewhere.test"), "not valid for '::1'"),
        Fault("the certificate has expired", breaking.secured(starts_days=-90, ends_days=-1), "days_left is -1 days"),
    ),
    "prod.no_regression": (
        Fault("most reads take 30 ms more than before", wrong(Slow(request=_LOAD, seconds=0.03)), "p50_ratio: "),
        Fault("it takes 60 MB more than before", wrong(Allocating(megabytes=60)), " MB before, now "),
    ),
    "prod.rollback": (
        Fault("the release before does not start", wrong_before(Unable()), "seeded"),
        Fault(
            "the release before forgets its counts",
            wrong_before(Forgetting(statement="UPDATE resource_quotas SET used = 0")),
            "rolling back: daily_quota",
        ),
        Fault(
            "a rollback file leaves a table",
            breaking.nothing,
            "rate_limit_stats: not removed by the rollback files",
            changes=(("rollback/050_rate_limiting.sql", "DROP TABLE rate_limit_stats;\n", ""),),
        ),
    ),
}
"""criterion -> its faults. A gate is short, ends early, and is of the stage that first promises the criterion."""
