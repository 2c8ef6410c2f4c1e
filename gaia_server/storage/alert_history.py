"""Stored alerts, shared by all server processes: one evaluates at a time, and each change becomes a message.

An evaluation is one transaction with an advisory lock: it reads the values, decides and stores. A process that finds
the lock taken only reads, and so does not decide by values that another one has already overtaken.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from gaia_server.push.alerts import AlertRule, Episode, Step, step
from gaia_server.storage.alert_notifications import NOTIFIED, enqueue
from gaia_server.storage.alert_rules import COLUMNS
from gaia_server.storage.queries import USAGE, Listing
from gaia_server.storage.store import Run, Store

LOCK = 0x616C_6572
"""The advisory lock of an evaluation: "aler"."""

FRESH_S = 15
"""Older measurements of a process do not count: it has stopped."""

BUSIEST = 100
"""The keys of each limit whose use is measured: those with the most admissions when they were last examined."""

_EPISODE: LiteralString = (
    "a.id, a.name, a.severity, a.says, a.threshold, a.value, a.fired_at, a.resolved_value, a.resolved_at,"
    " k.acknowledged_at, k.acknowledged_by"
)

ALERTS = Listing(
    """
    SELECT id, name, CASE WHEN resolved_at IS NULL THEN 'firing' ELSE 'resolved' END AS state, severity, says,
        threshold, value, fired_at, resolved_value, resolved_at
    FROM rate_limit_alerts
    """,
    "fired_at DESC, id DESC",
    "SELECT page.*, k.acknowledged_at, k.acknowledged_by, n.notification, n.notification_failure",
    "LEFT JOIN rate_limit_alert_acknowledgements AS k ON k.alert_id = page.id" + NOTIFIED,
    conditions={
        "acknowledged": "(%(acknowledged)s = EXISTS ("
        "SELECT FROM rate_limit_alert_acknowledgements AS k WHERE k.alert_id = listed.id))",
        "since": "(resolved_at IS NULL OR resolved_at >= %(since)s)",
        "until": "fired_at < %(until)s",
    },
)

_BUSIEST: LiteralString = """
    SELECT b.rule_id, b.key FROM rate_limit_configs AS c
    CROSS JOIN LATERAL (
        SELECT b.rule_id, b.key FROM rate_limit_buckets AS b
        WHERE b.rule_id = c.id AND b.last_at > statement_timestamp() - rate_limit_window(c.limit_type)
        ORDER BY b.admitted - b.oldest_before DESC LIMIT %(busiest)s
    ) AS b WHERE c.enabled AND c.id = coalesce(r.rule_id, c.id)
    UNION ALL
    SELECT q.rule_id, q.key FROM rate_limit_configs AS c
    CROSS JOIN LATERAL (
        SELECT q.rule_id, q.key FROM resource_quotas AS q
        WHERE q.rule_id = c.id AND q.period_start = rate_limit_period_start(c.limit_type, statement_timestamp())
        ORDER BY q.used DESC LIMIT %(busiest)s
    ) AS q WHERE c.enabled AND c.id = coalesce(r.rule_id, c.id)
"""
# The time of a statement is one value: conditions on it can use an index.
_MEASURED: LiteralString = (
    "FROM server_measurements AS m WHERE m.measured_at > statement_timestamp() - make_interval(secs => %(fresh_s)s)"
)
_VALUES: dict[LiteralString, LiteralString] = {
    "violations_per_minute": """
        CASE WHEN r.rule_id IS NULL THEN counted.violations ELSE (
            SELECT coalesce(sum(v.hits), 0) FROM rate_limit_violations AS v
            WHERE v.rule_id = r.rule_id AND v.occurred_at > statement_timestamp() - interval '60 seconds') END
    """,
    "limit_utilisation_percent": "(SELECT coalesce(max(ceil(100.0 * used / nullif(effective_limit, 0))), 0) FROM ("
    + USAGE.select
    + " FROM ("
    + _BUSIEST
    + ") AS page "
    + USAGE.join
    + ") AS use)",
    "error_percent": "(SELECT CASE WHEN sum(m.requests) = 0 THEN 0"
    " ELSE ceil(100.0 * sum(m.errors) / sum(m.requests)) END " + _MEASURED + ")",
    "memory_mb": "(SELECT max(ceil(m.memory_bytes / 1e6)) " + _MEASURED + ")",
    "pool_use_percent": "(SELECT max(ceil(100.0 * m.pool_in_use / m.pool_max)) " + _MEASURED + ")",
    "system_load_percent": "(SELECT max(m.load_percent) " + _MEASURED + ")",
}
"""Metric -> the expression of its value for an alert rule `r`; NULL if no process has measured it lately."""

_CASES: LiteralString = " ".join(["WHEN '" + metric + "' THEN " + value for metric, value in _VALUES.items()])
_MEASURED_COLUMNS = ("violations", "now", "measured")
READ: LiteralString = (
    "WITH counted AS MATERIALIZED (SELECT coalesce(sum(hits), 0)::bigint AS violations FROM rate_limit_violations"
    " WHERE occurred_at > statement_timestamp() - interval '60 seconds')"
    " SELECT counted.violations, statement_timestamp() AS now, " + COLUMNS + ","
    " (CASE r.metric " + _CASES + " END)::bigint AS measured"
    " FROM counted LEFT JOIN rate_limit_alert_rules AS r ON r.enabled AND r.metric = ANY(%(metrics)s) ORDER BY r.id"
)
_EPISODES: LiteralString = (
    "SELECT " + _EPISODE + " FROM rate_limit_alerts AS a"
    " LEFT JOIN rate_limit_alert_acknowledgements AS k ON k.alert_id = a.id"
    " WHERE a.resolved_at IS NULL OR a.id = ANY(%(changed)s)"
    " ORDER BY a.fired_at, a.id"
)
# an earlier release fires without the lock
_FIRE: LiteralString = """
    INSERT INTO rate_limit_alerts AS a (name, severity, says, threshold, value, fired_at)
    VALUES (%(name)s, %(severity)s, %(says)s, %(threshold)s, %(value)s, clock_timestamp())
    ON CONFLICT (name) WHERE resolved_at IS NULL DO NOTHING
    RETURNING a.id
"""
_RESOLVE: LiteralString = """
    UPDATE rate_limit_alerts AS a
    SET resolved_value = %(value)s, resolved_at = greatest(clock_timestamp(), a.fired_at)
    WHERE a.name = %(name)s AND a.resolved_at IS NULL
    RETURNING a.id
"""
_RESOLVE_WITHOUT_RULE: LiteralString = """
    UPDATE rate_limit_alerts AS a
    SET resolved_value = a.value, resolved_at = greatest(clock_timestamp(), a.fired_at)
    WHERE a.resolved_at IS NULL
        AND NOT EXISTS (SELECT FROM rate_limit_alert_rules AS r WHERE r.name = a.name AND r.enabled)
    RETURNING a.id
"""
_FIRING: LiteralString = "SELECT name FROM rate_limit_alerts WHERE resolved_at IS NULL"
_PENDING: LiteralString = "UPDATE rate_limit_alert_rules SET pending_since = %(since)s WHERE id = %(id)s"
_ACKNOWLEDGE: LiteralString = """
    WITH firing AS (
        SELECT id FROM rate_limit_alerts WHERE id = %(id)s AND resolved_at IS NULL
    ), first AS (
        INSERT INTO rate_limit_alert_acknowledgements (alert_id, acknowledged_at, acknowledged_by)
        SELECT id, clock_timestamp(), %(by)s FROM firing ON CONFLICT (alert_id) DO NOTHING
    )
    SELECT id FROM firing
"""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of one evaluation of alert rules."""

    violations: int  # requests refused within the last minute
    values: list[tuple[AlertRule, int | None]]  # of the enabled rules; None: no process has measured it lately
    episodes: list[Episode]  # the firing alerts, and those that this evaluation changed
    changed: set[int]  # the ids of the alerts that this evaluation fired or resolved


async def evaluate(
    store: Store,
    metrics: Collection[str],
    *,
    targets: int = 0,
    reputation: bool = False,
) -> Evaluation:
    """Compare the rules of these metrics with their values; fire or resolve their alerts if necessary.

    `targets` is the number of URLs to notify of each change. Raises Unavailable.
    """

    async def work(run: Run) -> Evaluation:
        (lock,) = await run("SELECT pg_try_advisory_xact_lock(%s) AS got", (LOCK,))
        given = {"metrics": list(metrics), "busiest": BUSIEST, "fresh_s": FRESH_S, "reputation": reputation}
        rows = await run(READ, given)
        violations, now = rows[0]["violations"], rows[0]["now"]
        values = [(rule, value) for row in rows if row["id"] is not None for rule, value in [_rule(row)]]
        changed = await _decide(run, values, now, targets) if lock["got"] else set()
        episodes = [Episode(**row) for row in await run(_EPISODES, {"changed": list(changed)})]
        return Evaluation(violations, values, episodes, changed)

    return await store.transaction(work)


async def acknowledge(store: Store, alert_id: int, by: str) -> bool:
    """Record who takes care of a firing alert, unless someone does already; False if none fires with this id.

    Raises Unavailable.
    """
    return bool(await store.rows(_ACKNOWLEDGE, {"id": alert_id, "by": by}))


def _rule(row: dict[str, Any]) -> tuple[AlertRule, int | None]:
    return AlertRule(**{name: value for name, value in row.items() if name not in _MEASURED_COLUMNS}), row["measured"]


async def _decide(run: Run, values: list[tuple[AlertRule, int | None]], now: datetime, targets: int) -> set[int]:
    """Store what the values change; return the ids of the alerts that fired or resolved."""
    firing = {row["name"] for row in await run(_FIRING)}
    changed = await run(_RESOLVE_WITHOUT_RULE)
    for rule, value in values:
        if value is None:
            continue  # the servers restart: what fires goes on
        match step(rule, value, now, firing=rule.name in firing):
            case Step.FIRE:
                changed += await run(_FIRE, {"value": value, "says": rule.says, **_named(rule)})
                await run(_PENDING, {"id": rule.id, "since": None})
            case Step.RESOLVE:
                changed += await run(_RESOLVE, {"value": value, "name": rule.name})
            case Step.WAIT:
                await run(_PENDING, {"id": rule.id, "since": now})
            case Step.FORGET:
                await run(_PENDING, {"id": rule.id, "since": None})
    ids = {row["id"] for row in changed}
    if ids and targets:
        await enqueue(run, ids, targets)
    return ids


def _named(rule: AlertRule) -> dict[str, Any]:
    return {"name": rule.name, "severity": rule.severity, "threshold": rule.threshold}
