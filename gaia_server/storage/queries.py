"""The SQL behind the lists and analytics of the API. Text only: `store` runs it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import LiteralString

MAX_COUNTED = 10_000
"""Rows of a list are counted up to this number: a longer list reports it as its minimum length."""

_CONDITIONS: dict[str, LiteralString] = {
    "id": "id = %(id)s",
    "rule_id": "rule_id = %(rule_id)s",
    "rule_name": "rule_name = %(rule_name)s",
    "scope": "scope = %(scope)s",
    "key": "key = %(key)s",
    "user": "key = 'user:' || %(user)s",
    "enabled": "enabled = %(enabled)s",
    "search": "strpos(lower(concat(rule_name, ' ', scope_value)), lower(%(search)s)) > 0",
    "since": "occurred_at >= %(since)s",
    "until": "occurred_at < %(until)s",
    "kind": "kind = %(kind)s",
    "state": "state = %(state)s",
    "severity": "severity = %(severity)s",
    "tier": "tier = %(tier)s",
    "min_score": "score >= %(min_score)s",
    "max_score": "score <= %(max_score)s",
}
# An array instead of a join: the index with the list's order is read in that order, only as far as the page.
_OF_SCOPE: LiteralString = "rule_id = ANY(ARRAY(SELECT id FROM rate_limit_configs WHERE scope = %(scope)s))"


@dataclass(frozen=True, slots=True)
class Listing:
    """A list: the query that is filtered, counted and paged, and the columns that are joined to one page."""

    query: LiteralString
    order: LiteralString  # columns of `query`, the last of which make it unambiguous
    select: LiteralString = "SELECT page.*"
    join: LiteralString = ""
    conditions: Mapping[str, LiteralString] = field(default_factory=dict)  # where they differ from _CONDITIONS
    columns: LiteralString = "*"  # of the filtered rows, and how they are grouped
    group: LiteralString = ""
    sorts: tuple[LiteralString, ...] = ()  # columns that a client may sort by instead

    def condition(self, name: str) -> LiteralString:
        """Return the SQL condition of a parameter."""
        return self.conditions[name] if name in self.conditions else _CONDITIONS[name]

    @property
    def sort_names(self) -> tuple[str, ...]:
        """What a client may sort by: a column, with a minus sign for descending."""
        return tuple(direction + column for column in self.sorts for direction in ("", "-"))

    def ordered(self, sort: str | None) -> list[LiteralString]:
        """Return the columns of the order; `sort` is one of `sort_names`, or None."""
        columns: list[LiteralString] = self.order.split(", ")
        for column in self.sorts:
            if sort in (column, f"-{column}"):
                direction: LiteralString = " DESC" if sort == f"-{column}" else ""
                return [column + direction, *columns]
        return columns


RULES = Listing(
    "SELECT * FROM rate_limit_configs", "id", sorts=("rule_name", "limit_value", "scope", "resource_type", "enabled")
)

_SINCE: LiteralString = "last_at >= %(since)s AND occurred_at > %(since)s - interval '1 second'"
"""A row covers one second, and the index has its start."""

VIOLATIONS = Listing(
    "SELECT * FROM rate_limit_violations",
    "occurred_at DESC, id DESC",
    """
    SELECT page.id, page.rule_id, c.rule_name, c.scope, c.limit_type, c.limit_value, page.key, page.resource_type,
        page.occurred_at, page.last_at, page.hits
    """,
    "JOIN rate_limit_configs AS c ON c.id = page.rule_id",
    {"scope": _OF_SCOPE, "since": _SINCE},
    sorts=("occurred_at", "key", "hits"),
)

VIOLATING_CLIENTS = Listing(
    "SELECT * FROM rate_limit_violations",
    "hits DESC, key",
    conditions={"scope": _OF_SCOPE, "since": _SINCE},
    columns="""
        key, sum(hits)::bigint AS hits, count(DISTINCT rule_id) AS rules,
        min(occurred_at) AS first_at, max(last_at) AS last_at
    """,
    group="GROUP BY key",
    sorts=("key", "hits", "rules", "last_at"),
)

# The use is computed for the rows of the page only. Also takes `reputation`: whether it is enabled.
USAGE = Listing(
    "SELECT rule_id, key FROM rate_limit_buckets UNION ALL SELECT rule_id, key FROM resource_quotas",
    "rule_id, key",
    """
    SELECT page.rule_id, c.rule_name, c.scope, c.limit_type, c.limit_value, e.effective_limit, c.resource_type,
        page.key, u.used, greatest(e.effective_limit - u.used, 0) AS remaining, u.resets_at
    """,
    """
    JOIN rate_limit_configs AS c ON c.id = page.rule_id
    LEFT JOIN reputation_scores AS s ON s.key = page.key AND c.scope = 'user'
    CROSS JOIN LATERAL (
        SELECT CASE WHEN %(reputation)s THEN reputation_limit(c.limit_value, coalesce(s.tier, 'standard'))
                    ELSE c.limit_value END AS effective_limit
    ) AS e
    CROSS JOIN LATERAL (
        SELECT w.used, w.resets_at FROM rate_limit_used(page.key, page.rule_id) AS w
        WHERE rate_limit_window(c.limit_type) IS NOT NULL
        UNION ALL
        SELECT CASE WHEN q.period_start = rate_limit_period_start(c.limit_type, now()) THEN q.used ELSE 0 END,
            rate_limit_period_end(c.limit_type, now())
        FROM resource_quotas AS q WHERE q.key = page.key AND q.rule_id = page.rule_id
    ) AS u
    """,
    {"scope": _OF_SCOPE},
    sorts=("key", "rule_id"),
)

PREVIEW: LiteralString = """
    SELECT count(*) AS clients, count(*) FILTER (WHERE u.used > e.limit_value) AS clients_over,
        coalesce(sum(u.used), 0)::bigint AS admitted,
        coalesce(sum(greatest(u.used - e.limit_value, 0)), 0)::bigint AS refused_at_least
    FROM rate_limit_configs AS c
    CROSS JOIN LATERAL (
        SELECT b.key, w.used FROM rate_limit_buckets AS b, rate_limit_used(b.key, b.rule_id) AS w WHERE b.rule_id = c.id
        UNION ALL
        SELECT q.key, q.used FROM resource_quotas AS q
        WHERE q.rule_id = c.id AND q.period_start = rate_limit_period_start(c.limit_type, now())
    ) AS u
    LEFT JOIN reputation_scores AS s ON s.key = u.key AND c.scope = 'user'
    CROSS JOIN LATERAL (
        SELECT CASE WHEN %(reputation)s THEN reputation_limit(%(limit_value)s, coalesce(s.tier, 'standard'))
                    ELSE %(limit_value)s END AS limit_value
    ) AS e
    WHERE c.id = %(rule_id)s AND u.used > 0
"""
"""What another limit would have refused of the requests that a rule has admitted in the current window of each key.

A bound: at most `limit_value` of them fit into the window, and earlier windows of a key are not stored.
"""

PERIOD: LiteralString = """
    SELECT last - make_interval(mins => %(minutes)s - 1) AS since, last + interval '1 minute' AS before
    FROM date_trunc(
        'minute', greatest(least(coalesce(%(until)s::timestamptz, now()), now()), timestamptz '2000-01-01 00:00Z')
    ) AS last
"""
"""The bounds of `minutes` whole minutes, the last of which `until`, or now, is in."""

ANALYTICS: dict[str, LiteralString] = {
    "decisions": """
        SELECT date_trunc(%(per)s, minute) AS start, sum(admitted)::bigint AS admitted, sum(denied)::bigint AS denied
        FROM rate_limit_stats WHERE minute >= %(since)s AND minute < %(before)s
        GROUP BY 1 ORDER BY 1
    """,
    "by_resource": """
        SELECT resource_type, sum(admitted)::bigint AS admitted, sum(denied)::bigint AS denied
        FROM rate_limit_stats WHERE minute >= %(since)s AND minute < %(before)s
        GROUP BY resource_type ORDER BY resource_type
    """,
    "by_scope": """
        SELECT scope, sum(admitted)::bigint AS admitted, sum(denied)::bigint AS denied
        FROM rate_limit_stats WHERE minute >= %(since)s AND minute < %(before)s
        GROUP BY scope ORDER BY scope
    """,
    "by_rule": """
        SELECT v.*, c.rule_name FROM (
            SELECT rule_id, sum(hits)::bigint AS hits, count(DISTINCT key) AS keys, max(last_at) AS last_at
            FROM rate_limit_violations
            WHERE occurred_at >= %(since)s AND occurred_at < %(before)s GROUP BY rule_id
        ) AS v JOIN rate_limit_configs AS c ON c.id = v.rule_id ORDER BY v.hits DESC, v.rule_id
    """,
    "top_keys": """
        SELECT key, sum(hits)::bigint AS hits, max(last_at) AS last_at
        FROM rate_limit_violations WHERE occurred_at >= %(since)s AND occurred_at < %(before)s
        GROUP BY key ORDER BY hits DESC, key LIMIT 10
    """,
    "oldest": "SELECT min(minute) AS minute FROM rate_limit_stats",
    "load": """
        SELECT date_trunc(%(per)s, minute) AS start, avg(cpu_percent) AS cpu_percent,
            avg(memory_bytes)::bigint AS memory_bytes, avg(requests_per_second) AS requests_per_second,
            max(websocket_clients) AS websocket_clients, max(pool_in_use) AS pool_in_use
        FROM (
            SELECT date_trunc('minute', sampled_at) AS minute, sum(cpu_percent) AS cpu_percent,
                sum(memory_bytes) AS memory_bytes, sum(requests_per_second) AS requests_per_second,
                sum(websocket_clients)::bigint AS websocket_clients, sum(pool_in_use)::bigint AS pool_in_use
            FROM system_load_history
            WHERE sampled_at >= %(since)s AND sampled_at < %(before)s GROUP BY 1
        ) AS each_minute GROUP BY 1 ORDER BY 1
    """,
}
"""The rows behind `/analytics`, by name; each takes `since`, `before` and `per`.

Load is summed over the processes that sampled within a minute, then averaged over the period; of clients and
connections the maximum is taken.
"""
