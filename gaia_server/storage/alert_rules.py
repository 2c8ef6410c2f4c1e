"""Stored alert rules."""

from dataclasses import asdict, fields
from datetime import datetime
from typing import LiteralString

import psycopg
from psycopg import sql

from gaia_server.push.alerts import AlertRule, AlertRuleFields
from gaia_server.storage.queries import Listing
from gaia_server.storage.store import Store

COLUMNS: LiteralString = """
    r.id, r.name, r.metric, r.rule_id,
    (SELECT c.rule_name FROM rate_limit_configs AS c WHERE c.id = r.rule_id) AS rule_name,
    r.threshold, r.clear_threshold, r.for_s, r.severity, r.enabled, r.muted_until, r.pending_since,
    r.created_at, r.updated_at
"""
"""The columns of an AlertRule, of `rate_limit_alert_rules AS r`."""

_RULES: LiteralString = "SELECT " + COLUMNS + " FROM rate_limit_alert_rules AS r"
ALERT_RULES = Listing(_RULES, "id")

_FIELDS = tuple(field.name for field in fields(AlertRuleFields))
_UNCHANGED: LiteralString = (
    "id = %(id)s AND (%(expected)s::timestamptz IS NULL OR updated_at = %(expected)s::timestamptz)"
)
_MUTE: LiteralString = (
    "UPDATE rate_limit_alert_rules AS r"
    " SET muted_until = CASE WHEN %(for_s)s > 0 THEN clock_timestamp() + make_interval(secs => %(for_s)s) END"
    " WHERE r.id = %(id)s RETURNING " + COLUMNS
)


class UnknownRule(Exception):
    """There is no rate limit rule with the id that an alert rule names."""


async def alert_rule(store: Store, rule_id: int) -> AlertRule | None:
    """Return one alert rule, None if it does not exist. Raises Unavailable."""
    rows = await store.rows(_RULES + " WHERE r.id = %s", (rule_id,))
    return AlertRule(**rows[0]) if rows else None


async def create(store: Store, rule: AlertRuleFields) -> AlertRule:
    """Store a new alert rule. Raises DuplicateName, UnknownRule, Unavailable."""
    query = sql.SQL("INSERT INTO rate_limit_alert_rules AS r ({}) VALUES ({}) RETURNING {}").format(
        sql.SQL(", ").join(map(sql.Identifier, _FIELDS)),
        sql.SQL(", ").join(map(sql.Placeholder, _FIELDS)),
        sql.SQL(COLUMNS),
    )
    (found,) = await _written(store, query, rule)
    return found


async def replace(
    store: Store, rule_id: int, rule: AlertRuleFields, expected: datetime | None = None
) -> AlertRule | None:
    """Overwrite an alert rule; None if there is none, or none that was last changed at `expected`.

    A pending alert starts to wait anew. Raises DuplicateName, UnknownRule, Unavailable.
    """
    query = sql.SQL(
        "UPDATE rate_limit_alert_rules AS r SET {}, pending_since = NULL, updated_at = clock_timestamp()"
        " WHERE {} RETURNING {}"
    ).format(
        sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(n), sql.Placeholder(n)) for n in _FIELDS),
        sql.SQL(_UNCHANGED),
        sql.SQL(COLUMNS),
    )
    found = await _written(store, query, rule, id=rule_id, expected=expected)
    return found[0] if found else None


async def delete(store: Store, rule_id: int, expected: datetime | None = None) -> bool:
    """Delete an alert rule; its alert resolves. False like `replace`. Raises Unavailable."""
    query: LiteralString = "DELETE FROM rate_limit_alert_rules WHERE " + _UNCHANGED + " RETURNING id"
    return bool(await store.rows(query, {"id": rule_id, "expected": expected}))


async def mute(store: Store, rule_id: int, for_s: int) -> AlertRule | None:
    """Let a rule notify nobody for so long; 0: let it notify again. None if there is none. Raises Unavailable."""
    rows = await store.rows(_MUTE, {"id": rule_id, "for_s": for_s})
    return AlertRule(**rows[0]) if rows else None


async def _written(
    store: Store, query: sql.Composed, rule: AlertRuleFields, **more: int | datetime | None
) -> list[AlertRule]:
    try:
        return [AlertRule(**row) for row in await store.named(query, {**asdict(rule), **more}, rule.name)]
    except psycopg.errors.ForeignKeyViolation as error:
        raise UnknownRule(str(rule.rule_id)) from error
