"""Stored alerts, shared by all server processes: one changes them at a time, and each change becomes a message.

An evaluation reads. What it would change is decided again by what a transaction with an advisory lock reads: so no
process decides by values that another one has already overtaken. One that finds the lock taken changes nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, LiteralString

from gaia_server.push.alerts import AlertRule, Episode, Step, step
from gaia_server.storage import alert_values
from gaia_server.storage.alert_notifications import NOTIFIED, enqueue
from gaia_server.storage.queries import Listing
from gaia_server.storage.store import Run, Store

LOCK = 0x616C_6572
"""The advisory lock of an evaluation: "aler"."""

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

_EPISODES: LiteralString = (
    "SELECT " + _EPISODE + " FROM rate_limit_alerts AS a"
    " LEFT JOIN rate_limit_alert_acknowledgements AS k ON k.alert_id = a.id"
    " WHERE a.resolved_at IS NULL OR a.id = ANY(%(changed)s)"
    " ORDER BY a.fired_at, a.id"
)
# an earlier release fires without the lock
_FIRE: LiteralString = """
    INSERT INTO rate_limit_alerts AS a (name, severity, says, threshold, value, fired_at)
    SELECT w.*, clock_timestamp() FROM unnest(
        %(names)s::text[], %(severities)s::text[], %(says)s::text[], %(thresholds)s::bigint[], %(values)s::bigint[]
    ) AS w
    ON CONFLICT (name) WHERE resolved_at IS NULL DO NOTHING
    RETURNING a.id
"""
_RESOLVE: LiteralString = """
    UPDATE rate_limit_alerts AS a
    SET resolved_value = w.value, resolved_at = greatest(clock_timestamp(), a.fired_at)
    FROM unnest(%(names)s::text[], %(values)s::bigint[]) AS w (name, value)
    WHERE a.name = w.name AND a.resolved_at IS NULL
    RETURNING a.id
"""
_PENDING: LiteralString = "UPDATE rate_limit_alert_rules SET pending_since = %(since)s WHERE id = ANY(%(ids)s)"
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
    given = alert_values.arguments(metrics, reputation=reputation)
    found, changes = await _compared(store.rows, given)
    if not changes:
        return found

    async def work(run: Run) -> Evaluation:
        (lock,) = await run("SELECT pg_try_advisory_xact_lock(%s) AS got", (LOCK,))
        if not lock["got"]:
            return found
        compared, changes = await _compared(run, given)
        changed = await _store(run, changes, targets)
        return replace(compared, changed=changed, episodes=await _episodes(run, changed))

    return await store.transaction(work)


async def acknowledge(store: Store, alert_id: int, by: str) -> bool:
    """Record who takes care of a firing alert, unless someone does already; False if none fires with this id.

    Raises Unavailable.
    """
    return bool(await store.rows(_ACKNOWLEDGE, {"id": alert_id, "by": by}))


@dataclass(slots=True)
class _Changes:
    """What an evaluation is to store."""

    fired: list[tuple[AlertRule, int]] = field(default_factory=list)
    resolved: list[tuple[str, int]] = field(default_factory=list)  # names of alerts, and their values now
    pending: list[tuple[int, datetime | None]] = field(default_factory=list)  # ids of rules, and since when

    def __bool__(self) -> bool:
        return bool(self.fired or self.resolved or self.pending)


async def _compared(run: Run, given: Mapping[str, Any]) -> tuple[Evaluation, _Changes]:
    """Read values and firing alerts; return both, and what the values change."""
    rows, episodes = await run(alert_values.READ, given), await _episodes(run)
    rules = [(alert_values.rule(row), row["measured"]) for row in rows if row["id"] is not None]
    values = [(rule, value) for rule, value in rules if rule.metric in given["metrics"]]
    fires, enabled = {one.name for one in episodes}, {rule.name for rule, _ in rules}
    changes = _Changes(resolved=[(one.name, one.value) for one in episodes if one.name not in enabled])
    now, observed = rows[0]["now"], rows[0]["observed"]
    for rule, value in values:
        match step(rule, value, now, firing=rule.name in fires, observed=observed), value:
            case Step.FIRE, int():
                changes.fired.append((rule, value))
                changes.pending.append((rule.id, None))
            case Step.RESOLVE, int():
                changes.resolved.append((rule.name, value))
            case Step.WAIT, _:
                changes.pending.append((rule.id, now))
            case Step.FORGET, _:
                changes.pending.append((rule.id, None))
    return Evaluation(rows[0]["violations"], values, episodes, set()), changes


async def _episodes(run: Run, changed: Collection[int] = ()) -> list[Episode]:
    return [Episode(**row) for row in await run(_EPISODES, {"changed": list(changed)})]


async def _store(run: Run, changes: _Changes, targets: int) -> set[int]:
    """Store the changes; return the ids of the alerts that fired or resolved."""
    changed = []
    if changes.fired:
        changed += await run(_FIRE, _fired(changes.fired))
    if changes.resolved:
        names, values = zip(*changes.resolved, strict=True)
        changed += await run(_RESOLVE, {"names": list(names), "values": list(values)})
    for since in {since for _, since in changes.pending}:
        await run(_PENDING, {"since": since, "ids": [rule_id for rule_id, one in changes.pending if one == since]})
    ids = {row["id"] for row in changed}
    if ids and targets:
        await enqueue(run, ids, targets)
    return ids


def _fired(fired: Sequence[tuple[AlertRule, int]]) -> dict[str, list[Any]]:
    return {
        "names": [rule.name for rule, _ in fired],
        "severities": [rule.severity for rule, _ in fired],
        "says": [rule.says for rule, _ in fired],
        "thresholds": [rule.threshold for rule, _ in fired],
        "values": [value for _, value in fired],
    }
