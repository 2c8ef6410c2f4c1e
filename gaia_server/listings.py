"""The SQL behind the lists and numbers that the API tells. Text only: `store` runs it."""

from dataclasses import dataclass
from typing import LiteralString


@dataclass(frozen=True, slots=True)
class Listing:
    """A list: what is filtered, counted and paged, and what is then added to the rows of one page."""

    query: LiteralString
    order: LiteralString
    select: LiteralString = "SELECT page.*"
    join: LiteralString = ""


CONDITIONS: dict[str, LiteralString] = {
    "rule_id": "rule_id = %(rule_id)s",
    "rule_name": "rule_name = %(rule_name)s",
    "scope": "scope = %(scope)s",
    "key": "key = %(key)s",
    "enabled": "enabled = %(enabled)s",
    "since": "last_at >= %(since)s",
    "until": "occurred_at < %(until)s",
}
"""What a list may be filtered by: parameter -> condition."""

RULES = Listing("SELECT * FROM rate_limit_configs", "id")

VIOLATIONS = Listing(
    """
    SELECT v.id, v.rule_id, c.rule_name, c.scope, c.limit_type, c.limit_value, v.key, v.resource_type,
        v.occurred_at, v.last_at, v.hits
    FROM rate_limit_violations AS v JOIN rate_limit_configs AS c ON c.id = v.rule_id
    """,
    "occurred_at DESC, id DESC",
)

# The admissions in a window are counted for the rows of the page only.
USAGE = Listing(
    """
    SELECT k.rule_id, c.rule_name, c.scope, c.limit_type, c.limit_value, c.resource_type, k.key, k.period_used
    FROM (
        SELECT b.rule_id, b.key, NULL::bigint AS period_used FROM rate_limit_buckets AS b
        UNION ALL
        SELECT q.rule_id, q.key,
            CASE WHEN q.period_start = rate_limit_period_start(r.limit_type, now()) THEN q.used ELSE 0 END
        FROM resource_quotas AS q JOIN rate_limit_configs AS r ON r.id = q.rule_id
    ) AS k JOIN rate_limit_configs AS c ON c.id = k.rule_id
    """,
    "rule_id, key",
    """
    SELECT page.rule_id, page.rule_name, page.scope, page.limit_type, page.limit_value, page.resource_type, page.key,
        u.used, greatest(page.limit_value - u.used, 0) AS remaining, u.resets_at
    """,
    """
    CROSS JOIN LATERAL (
        SELECT w.used, w.resets_at FROM rate_limit_used(page.key, page.rule_id) AS w WHERE page.period_used IS NULL
        UNION ALL
        SELECT page.period_used, rate_limit_period_end(page.limit_type, now()) WHERE page.period_used IS NOT NULL
    ) AS u
    """,
)

ANALYTICS: dict[str, LiteralString] = {
    "decisions": """
        SELECT minute, sum(admitted)::bigint AS admitted, sum(denied)::bigint AS denied
        FROM rate_limit_stats WHERE minute > date_trunc('minute', now()) - make_interval(mins => %(minutes)s)
        GROUP BY minute ORDER BY minute
    """,
    "by_resource": """
        SELECT resource_type, sum(admitted)::bigint AS admitted, sum(denied)::bigint AS denied
        FROM rate_limit_stats WHERE minute > date_trunc('minute', now()) - make_interval(mins => %(minutes)s)
        GROUP BY resource_type ORDER BY resource_type
    """,
    "by_scope": """
        SELECT scope, sum(admitted)::bigint AS admitted, sum(denied)::bigint AS denied
        FROM rate_limit_stats WHERE minute > date_trunc('minute', now()) - make_interval(mins => %(minutes)s)
        GROUP BY scope ORDER BY scope
    """,
    "top_rules": """
        SELECT v.rule_id, c.rule_name, sum(v.hits)::bigint AS hits
        FROM rate_limit_violations AS v JOIN rate_limit_configs AS c ON c.id = v.rule_id
        WHERE v.occurred_at > date_trunc('minute', now()) - make_interval(mins => %(minutes)s)
        GROUP BY v.rule_id, c.rule_name ORDER BY hits DESC, v.rule_id LIMIT 10
    """,
    "top_keys": """
        SELECT key, sum(hits)::bigint AS hits, max(last_at) AS last_at
        FROM rate_limit_violations WHERE occurred_at > date_trunc('minute', now()) - make_interval(mins => %(minutes)s)
        GROUP BY key ORDER BY hits DESC, key LIMIT 10
    """,
    "load": """
        SELECT date_trunc('minute', sampled_at) AS minute, sum(cpu_percent) AS cpu_percent,
            sum(memory_bytes)::bigint AS memory_bytes, sum(requests_per_second) AS requests_per_second,
            sum(websocket_clients)::bigint AS websocket_clients, sum(pool_in_use)::bigint AS pool_in_use
        FROM system_load_history WHERE sampled_at > date_trunc('minute', now()) - make_interval(mins => %(minutes)s)
        GROUP BY 1 ORDER BY 1
    """,
}
"""The rows behind `/analytics`, by name; each takes `minutes`. Load is summed over the processes that sampled."""
