"""The queue of notifications, shared by all server processes: it survives a restart, and each is taken by one process.

A notification is sent at least once: a process that dies while it sends leaves it to the next one.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, LiteralString

from gaia_server.storage.store import Run, Store

MAX_QUEUED = 1000
"""Further notifications are dropped, and their alerts report it."""

MAX_ATTEMPTS = 8
FIRST_RETRY_S = 5
"""The first retry comes after so long, each further one after twice as long: the last after 10 minutes in total."""

LEASE_S = 60
"""How long a process may take to send what it has taken, before another one sends it again."""

ORPHANED_S = 600
"""How long what is due to a target beyond this process's ALERT_URLS is left to other processes."""

TOO_MANY = "too many notifications are queued"

NOTIFIED: LiteralString = """
    LEFT JOIN LATERAL (
        SELECT CASE WHEN bool_or(n.failure IS NOT NULL AND n.next_attempt_at IS NULL) THEN 'failed'
                    WHEN bool_or(n.next_attempt_at IS NOT NULL) THEN 'pending'
                    WHEN count(*) > 0 THEN 'sent' END AS notification,
            max(n.failure) AS notification_failure
        FROM rate_limit_alert_notifications AS n WHERE n.alert_id = page.id
    ) AS n ON true
"""
"""Joins what became of an alert's notifications: null without any."""

# Nobody hears of an alert that resolved before the first attempt, nor that it fires after hearing that it resolved.
_ENQUEUE: LiteralString = """
    WITH changed AS (
        SELECT id, CASE WHEN resolved_at IS NULL THEN 'firing' ELSE 'resolved' END AS state
        FROM rate_limit_alerts WHERE id = ANY(%(ids)s)
    ), unsent AS (
        DELETE FROM rate_limit_alert_notifications AS n USING changed AS c
        WHERE n.alert_id = c.id AND c.state = 'resolved' AND n.attempts = 0
        RETURNING n.alert_id, n.target
    ), overtaken AS (
        UPDATE rate_limit_alert_notifications AS n SET next_attempt_at = NULL FROM changed AS c
        WHERE n.alert_id = c.id AND c.state = 'resolved' AND n.attempts > 0 AND n.next_attempt_at IS NOT NULL
    ), queued AS (
        SELECT count(*) AS n FROM rate_limit_alert_notifications WHERE next_attempt_at IS NOT NULL
    )
    INSERT INTO rate_limit_alert_notifications (alert_id, state, target, next_attempt_at, failure)
    SELECT c.id, c.state, t.target, CASE WHEN q.n < %(most)s THEN clock_timestamp() END,
        CASE WHEN q.n >= %(most)s THEN %(too_many)s END
    FROM changed AS c CROSS JOIN queued AS q CROSS JOIN generate_series(1, %(targets)s) AS t (target)
    WHERE NOT EXISTS (SELECT FROM unsent AS u WHERE u.alert_id = c.id AND u.target = t.target)
"""
# The notifications of a muted rule wait.
_TAKE: LiteralString = """
    WITH due AS (
        SELECT n.id FROM rate_limit_alert_notifications AS n
        WHERE n.next_attempt_at <= statement_timestamp() AND n.target = %(target)s AND NOT EXISTS (
            SELECT FROM rate_limit_alerts AS a JOIN rate_limit_alert_rules AS r ON r.name = a.name
            WHERE a.id = n.alert_id AND r.muted_until > statement_timestamp())
        ORDER BY n.next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE rate_limit_alert_notifications AS n
        SET attempts = n.attempts + 1, next_attempt_at = clock_timestamp() + make_interval(secs => %(lease_s)s)
        FROM due WHERE n.id = due.id RETURNING n.*
    )
    SELECT t.id, t.state, t.attempts, a.id AS alert_id, a.name, a.severity, a.says, a.threshold,
        coalesce(CASE t.state WHEN 'resolved' THEN a.resolved_value END, a.value) AS value,
        a.fired_at, a.resolved_at
    FROM taken AS t JOIN rate_limit_alerts AS a ON a.id = t.alert_id
"""
_SENT: LiteralString = """
    UPDATE rate_limit_alert_notifications
    SET sent_at = clock_timestamp(), next_attempt_at = NULL, failure = NULL WHERE id = %(id)s
"""
# What was overtaken, or sent by another process, during the attempt stays so.
_FAILED: LiteralString = """
    UPDATE rate_limit_alert_notifications
    SET failure = %(failure)s, next_attempt_at = clock_timestamp() + make_interval(secs => %(retry_s)s)
    WHERE id = %(id)s AND next_attempt_at IS NOT NULL
"""
_GIVEN_UP: LiteralString = """
    UPDATE rate_limit_alert_notifications SET failure = %(failure)s, next_attempt_at = NULL
    WHERE id = %(id)s AND next_attempt_at IS NOT NULL
"""
_ORPHANS: LiteralString = """
    UPDATE rate_limit_alert_notifications
    SET failure = 'ALERT_URLS has no URL number ' || target, next_attempt_at = NULL
    WHERE target > %(targets)s AND next_attempt_at < now() - make_interval(secs => %(orphaned_s)s) RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """A notification that this process is to send now."""

    id: int
    attempts: int  # with this one
    alert: dict[str, Any]


async def enqueue(run: Run, alert_ids: Collection[int], targets: int) -> None:
    """Queue a notification of each alert's present state for each target, in the transaction that changed it."""
    await run(_ENQUEUE, {"ids": list(alert_ids), "targets": targets, "most": MAX_QUEUED, "too_many": TOO_MANY})


async def take(store: Store, target: int) -> Taken | None:
    """Take the notification of a target that is due first; None if none is. Raises Unavailable."""
    for row in await store.rows(_TAKE, {"target": target, "lease_s": LEASE_S}):
        return Taken(row.pop("id"), row.pop("attempts"), row)
    return None


async def give_up_orphans(run: Run, targets: int) -> int:
    """Give up what is due to targets that ALERT_URLS no longer has; return their number."""
    return len(await run(_ORPHANS, {"targets": targets, "orphaned_s": ORPHANED_S}))


async def sent(store: Store, taken: Taken) -> None:
    """Record that it was sent. Raises Unavailable."""
    await store.rows(_SENT, {"id": taken.id})


async def failed(store: Store, taken: Taken, failure: str) -> bool:
    """Record a failure, and when to try again; return whether it is given up. Raises Unavailable."""
    if taken.attempts >= MAX_ATTEMPTS:
        await store.rows(_GIVEN_UP, {"id": taken.id, "failure": failure})
        return True
    retry_s = FIRST_RETRY_S * 2 ** (taken.attempts - 1)
    await store.rows(_FAILED, {"id": taken.id, "failure": failure, "retry_s": retry_s})
    return False
