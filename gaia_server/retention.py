"""Upkeep: what is old is deleted and what is over is closed, a little at a time.

One process does it at a time. Every statement touches at most BATCH rows and skips those that somebody holds; so no
request ever waits long for it, and it never waits for a request.
"""

import asyncio
import logging
from typing import Any, LiteralString

from gaia_server.app_state import Server
from gaia_server.storage.store import Ask

EVERY_S = 60.0
BATCH = 1000
BUCKETS = 200
"""How many buckets are looked at in one statement: it holds those that it deletes until it ends."""

GRACE_S = 600.0
"""How long a key may be idle, beyond the window, before its bucket goes: one that comes back soon keeps it."""

PAUSE_S = 0.02
"""Between two statements, so that upkeep never takes all of the database."""

LOCK = 0x6761_6961
"""The advisory lock of who does the upkeep: "gaia"."""

_OLD: dict[str, LiteralString] = {
    "rate_limit_violations": """
        DELETE FROM rate_limit_violations WHERE id IN (
            SELECT id FROM rate_limit_violations WHERE occurred_at < now() - make_interval(days => %(days)s)
            ORDER BY occurred_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
    """,
    "rate_limit_stats": """
        DELETE FROM rate_limit_stats WHERE (minute, scope, resource_type) IN (
            SELECT minute, scope, resource_type FROM rate_limit_stats
            WHERE minute < now() - make_interval(days => %(days)s)
            ORDER BY minute LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
    """,
    "system_load_history": """
        DELETE FROM system_load_history WHERE id IN (
            SELECT id FROM system_load_history WHERE sampled_at < now() - make_interval(days => %(days)s)
            ORDER BY sampled_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
    """,
    "resource_consumption": """
        DELETE FROM resource_consumption WHERE (key, rule_id, period_start) IN (
            SELECT key, rule_id, period_start FROM resource_consumption
            WHERE closed_at < now() - make_interval(days => %(days)s)
            ORDER BY closed_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
    """,
    "rate_limit_alerts": """
        DELETE FROM rate_limit_alerts WHERE id IN (
            SELECT id FROM rate_limit_alerts WHERE resolved_at < now() - make_interval(days => %(days)s)
            LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
    """,
    "reputation_events": """
        DELETE FROM reputation_events WHERE id IN (
            SELECT id FROM reputation_events WHERE occurred_at < now() - make_interval(days => %(days)s)
            ORDER BY occurred_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
    """,
    # at the start again, and as long ago: as if never seen
    "reputation_scores": """
        DELETE FROM reputation_scores WHERE key IN (
            SELECT key FROM reputation_scores WHERE tier = 'standard' AND score = 50
                AND updated_at < now() - make_interval(days => %(days)s)
            LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
    """,
}
"""What is deleted after so many `days`, by table."""

# A period that is over is closed for keys that did not come back. The row is locked before its count is read.
_CLOSE: LiteralString = """
    WITH over AS (
        SELECT found.key, found.rule_id FROM rate_limit_configs AS c
        CROSS JOIN LATERAL (
            SELECT q.key, q.rule_id FROM resource_quotas AS q
            WHERE q.rule_id = c.id AND q.period_start < rate_limit_period_start(c.limit_type, now())
            LIMIT %(batch)s FOR UPDATE SKIP LOCKED
        ) AS found LIMIT %(batch)s
    ), closed AS (
        DELETE FROM resource_quotas AS q USING over WHERE q.key = over.key AND q.rule_id = over.rule_id
        RETURNING q.key, q.rule_id, q.period_start, q.used
    ), kept AS (
        INSERT INTO resource_consumption AS r (key, rule_id, period_start, used, closed_at)
        SELECT key, rule_id, period_start, used, now() FROM closed WHERE used > 0
        ON CONFLICT (key, rule_id, period_start) DO UPDATE SET used = r.used + excluded.used, closed_at = now()
    )
    SELECT count(*) AS changed FROM closed
"""
_DECAY: LiteralString = "SELECT reputation_decay(%(batch)s) AS changed"
# A stretch of buckets in the order of their key, and which of them are idle: looked at again once they are locked.
_IDLE: LiteralString = """
    WITH stretch AS MATERIALIZED (
        SELECT b.key, b.rule_id FROM rate_limit_buckets AS b
        WHERE (b.key, b.rule_id) > (%(after_key)s, %(after_rule_id)s) ORDER BY b.key, b.rule_id LIMIT %(batch)s
    ), idle AS (
        SELECT b.key, b.rule_id FROM stretch AS s
        JOIN rate_limit_buckets AS b ON b.key = s.key AND b.rule_id = s.rule_id
        JOIN rate_limit_configs AS c ON c.id = b.rule_id
        WHERE b.last_at < clock_timestamp() - rate_limit_window(c.limit_type) - make_interval(secs => %(grace_s)s)
        FOR UPDATE OF b SKIP LOCKED
    ), gone AS (
        DELETE FROM rate_limit_buckets AS b USING idle AS i WHERE b.key = i.key AND b.rule_id = i.rule_id RETURNING 1
    )
    SELECT (SELECT count(*) FROM stretch) AS looked, (SELECT count(*) FROM gone) AS changed, last.key, last.rule_id
    FROM (VALUES (1)) AS one LEFT JOIN (SELECT * FROM stretch ORDER BY key DESC, rule_id DESC LIMIT 1) AS last ON true
"""

log = logging.getLogger(__name__)


async def upkeep(server: Server) -> None:
    """Do what is to be done, if no other process is at it. Raises Unavailable."""
    async with server.store.alone(LOCK) as ask:
        if ask is None:
            return
        changed = {table: await delete_old(ask, table, server.settings.retention_days) for table in _OLD}
        changed["resource_quotas"] = await close_periods(ask)
        changed["rate_limit_buckets"] = await forget_idle(ask)
        if server.settings.reputation_enabled:
            changed["decayed scores"] = await decay(ask)
    if done := {name: count for name, count in changed.items() if count}:
        log.info("upkeep", extra={"changed": done})


async def delete_old(ask: Ask, table: str, days: int) -> int:
    """Delete what is older than so many days; return how many rows. Raises Unavailable."""
    counted: LiteralString = "WITH gone AS ({} RETURNING 1) SELECT count(*) AS changed FROM gone"
    return await _until_done(ask, counted.replace("{}", _OLD[table]), days=days)


async def close_periods(ask: Ask) -> int:
    """Close the quota periods that are over; return how many. Raises Unavailable."""
    return await _until_done(ask, _CLOSE)


async def decay(ask: Ask) -> int:
    """Let whole weeks that passed count; return how many scores moved. Raises Unavailable."""
    return await _until_done(ask, _DECAY)


async def forget_idle(ask: Ask, grace_s: float = GRACE_S) -> int:
    """Look once at every bucket and delete those of idle keys; return how many. Raises Unavailable."""
    forgotten: int = 0
    place: dict[str, Any] = {"after_key": "", "after_rule_id": 0}
    while True:
        (row,) = await ask(_IDLE, {**place, "batch": BUCKETS, "grace_s": grace_s})
        forgotten += row["changed"]
        if row["looked"] < BUCKETS:
            return forgotten
        place = {"after_key": row["key"], "after_rule_id": row["rule_id"]}
        await asyncio.sleep(PAUSE_S)


async def _until_done(ask: Ask, query: LiteralString, **given: int) -> int:
    total: int = 0
    while True:
        (row,) = await ask(query, {"batch": BATCH, **given})
        total += row["changed"]
        if row["changed"] < BATCH:
            return total
        await asyncio.sleep(PAUSE_S)
