"""The retention job: deletes old rows and closes finished quota periods, in small batches.

One process runs it at a time. Every statement touches at most BATCH rows and skips locked rows, so no request waits
long for it, and it never waits for a request.
"""

import asyncio
import logging
from typing import Any, LiteralString

from gaia_server.app_state import Server
from gaia_server.storage.alert_notifications import give_up_orphans
from gaia_server.storage.store import Run

BATCH = 1000
BUCKETS = 200
"""Buckets examined by one statement: those it deletes stay locked until it ends."""

GRACE_S = 600.0
"""How long a key may be idle, beyond the window, before its bucket is deleted: a key that returns soon keeps it."""

PAUSE_S = 0.02
"""The pause between two statements, so that the job never saturates the database."""

LOCK = 0x6761_6961
"""The advisory lock of the process that runs the job: "gaia"."""

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
    # back at the starting score for as long: equivalent to an unknown user
    "reputation_scores": """
        DELETE FROM reputation_scores WHERE key IN (
            SELECT key FROM reputation_scores WHERE tier = 'standard' AND score = 50
                AND updated_at < now() - make_interval(days => %(days)s)
            LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
    """,
}
"""Table -> the statement that deletes rows older than `days`."""

# Close finished periods of keys that sent no further request. The row is locked before its count is read.
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
# A range of buckets in key order, and the idle ones among them: idleness is checked on the locked rows.
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
    SELECT (SELECT count(*) FROM stretch) AS examined, (SELECT count(*) FROM gone) AS changed, last.key, last.rule_id
    FROM (VALUES (1)) AS one LEFT JOIN (SELECT * FROM stretch ORDER BY key DESC, rule_id DESC LIMIT 1) AS last ON true
"""

log = logging.getLogger(__name__)


async def upkeep(server: Server) -> None:
    """Run the job once, unless another process runs it. Raises Unavailable."""
    async with server.store.advisory_lock(LOCK) as run:
        if run is None:
            return
        changed = {table: await delete_old(run, table, server.settings.retention_days) for table in _OLD}
        changed["resource_quotas"] = await close_periods(run)
        changed["rate_limit_buckets"] = await delete_idle(run)
        changed["orphaned notifications"] = await give_up_orphans(run, len(server.settings.alert_urls))
        if server.settings.reputation_enabled:
            changed["decayed scores"] = await decay(run)
    if done := {name: count for name, count in changed.items() if count}:
        log.info("retention", extra={"changed": done})


async def delete_old(run: Run, table: str, days: int) -> int:
    """Delete a table's rows older than `days`; return the number of rows. Raises Unavailable."""
    counted: LiteralString = "WITH gone AS ({} RETURNING 1) SELECT count(*) AS changed FROM gone"
    return await _until_done(run, counted.replace("{}", _OLD[table]), days=days)


async def close_periods(run: Run) -> int:
    """Close finished quota periods; return their number. Raises Unavailable."""
    return await _until_done(run, _CLOSE)


async def decay(run: Run) -> int:
    """Apply the decay of whole weeks to scores; return the number of changed scores. Raises Unavailable."""
    return await _until_done(run, _DECAY)


async def delete_idle(run: Run, grace_s: float = GRACE_S) -> int:
    """Examine every bucket once and delete those of idle keys; return their number. Raises Unavailable."""
    deleted: int = 0
    position: dict[str, Any] = {"after_key": "", "after_rule_id": 0}
    while True:
        (row,) = await run(_IDLE, {**position, "batch": BUCKETS, "grace_s": grace_s})
        deleted += row["changed"]
        if row["examined"] < BUCKETS:
            return deleted
        position = {"after_key": row["key"], "after_rule_id": row["rule_id"]}
        await asyncio.sleep(PAUSE_S)


async def _until_done(run: Run, query: LiteralString, **given: int) -> int:
    total: int = 0
    while True:
        (row,) = await run(query, {"batch": BATCH, **given})
        total += row["changed"]
        if row["changed"] < BATCH:
            return total
        await asyncio.sleep(PAUSE_S)
