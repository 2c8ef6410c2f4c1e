"""Stored alerts, shared by all server processes: the database decides what fires, each process pushes it.

One statement counts, fires and resolves on one snapshot, so processes that evaluate at different times agree.
"""

from dataclasses import dataclass
from typing import LiteralString

from gaia_server.push.alerts import AlertRule, Episode
from gaia_server.storage.queries import Listing
from gaia_server.storage.store import Store

ALERTS = Listing(
    """
    SELECT id, name, CASE WHEN resolved_at IS NULL THEN 'firing' ELSE 'resolved' END AS state, severity, says,
        threshold, value, fired_at, resolved_value, resolved_at
    FROM rate_limit_alerts
    """,
    "fired_at DESC, id DESC",
    conditions={
        "since": "(resolved_at IS NULL OR resolved_at >= %(since)s)",
        "until": "fired_at < %(until)s",
    },
)

_EVALUATE: LiteralString = """
    WITH counted AS MATERIALIZED (
        SELECT coalesce(sum(hits), 0)::bigint AS value FROM rate_limit_violations
        WHERE occurred_at > clock_timestamp() - make_interval(secs => %(window_s)s)
    ), newest AS MATERIALIZED (
        SELECT * FROM rate_limit_alerts WHERE name = %(name)s ORDER BY fired_at DESC, id DESC LIMIT 1
    ), fired AS (
        INSERT INTO rate_limit_alerts (name, severity, says, threshold, value, fired_at)
        SELECT %(name)s, %(severity)s, %(says)s, %(threshold)s, c.value, clock_timestamp() FROM counted AS c
        WHERE c.value > %(threshold)s AND NOT EXISTS (SELECT FROM newest AS n WHERE n.resolved_at IS NULL)
        ON CONFLICT (name) WHERE resolved_at IS NULL DO NOTHING
        RETURNING *
    ), resolved AS (
        UPDATE rate_limit_alerts AS a
        SET resolved_value = c.value, resolved_at = greatest(clock_timestamp(), a.fired_at)
        FROM counted AS c, newest AS n
        WHERE a.id = n.id AND a.resolved_at IS NULL AND c.value <= %(threshold)s
        RETURNING a.*
    ), found AS (
        SELECT *, true AS changed FROM fired UNION ALL SELECT *, true FROM resolved
        UNION ALL SELECT *, false FROM newest
    )
    SELECT c.value AS counted, f.* FROM counted AS c
    LEFT JOIN (SELECT * FROM found ORDER BY changed DESC LIMIT 1) AS f ON true
"""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of one evaluation of an alert rule."""

    counted: int  # requests refused within the rule's window
    newest: Episode | None
    changed: bool  # this evaluation fired or resolved the alert


async def evaluate(store: Store, rule: AlertRule) -> Evaluation:
    """Count the violations in the rule's window; fire or resolve its alert if necessary. Raises Unavailable."""
    (row,) = await store.rows(
        _EVALUATE,
        {
            "name": rule.name,
            "severity": rule.severity,
            "says": rule.says,
            "threshold": rule.threshold,
            "window_s": rule.window_s,
        },
    )
    counted, changed = row.pop("counted"), row.pop("changed")
    return Evaluation(counted, Episode(**row) if row["id"] is not None else None, bool(changed))
