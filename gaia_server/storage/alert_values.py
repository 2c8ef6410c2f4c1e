"""What alert rules compare with their thresholds: one statement reads all enabled rules and their values."""

from collections.abc import Collection, Mapping
from typing import Any, LiteralString

from gaia_server.push.alerts import AlertRule
from gaia_server.storage.alert_rules import COLUMNS
from gaia_server.storage.queries import USAGE

FRESH_S = 15
"""Older measurements of a process do not count: it has stopped."""

BUSIEST = 100
"""The keys of each limit whose use is measured: those with the most admissions when they were last examined."""

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
_MEASURED_COLUMNS = ("violations", "now", "observed", "measured")
READ: LiteralString = (
    "WITH counted AS MATERIALIZED (SELECT coalesce(sum(hits), 0)::bigint AS violations FROM rate_limit_violations"
    " WHERE occurred_at > statement_timestamp() - interval '60 seconds')"
    " SELECT counted.violations, statement_timestamp() AS now, EXISTS (SELECT " + _MEASURED + ") AS observed,"
    " " + COLUMNS + ","
    " (CASE WHEN r.metric = ANY(%(metrics)s) THEN CASE r.metric " + _CASES + " END END)::bigint AS measured"
    " FROM counted LEFT JOIN rate_limit_alert_rules AS r ON r.enabled ORDER BY r.id"
)


def arguments(metrics: Collection[str], *, reputation: bool) -> dict[str, Any]:
    """Return the arguments of READ, which measures these metrics only."""
    return {"metrics": list(metrics), "busiest": BUSIEST, "fresh_s": FRESH_S, "reputation": reputation}


def rule(row: Mapping[str, Any]) -> AlertRule:
    """Return the alert rule of a row of READ."""
    return AlertRule(**{name: value for name, value in row.items() if name not in _MEASURED_COLUMNS})
