"""Stored violation and alert messages: every process appends its own, and reads all of them in one order."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg.rows import DictRow
from pydantic import TypeAdapter

from gaia_server.encoding import encode, timestamp
from gaia_server.push.alerts import Episode
from gaia_server.push.hub import Message
from gaia_server.push.violations import MAX_PENDING
from gaia_server.storage.store import Store

AT_ONCE = 200
"""How many messages are read at once."""

_COLUMNS: LiteralString = "SELECT pushed_at, violation_id, hits, data FROM push_messages"
_AFTER: LiteralString = _COLUMNS + " WHERE pushed_at > %(position)s ORDER BY pushed_at LIMIT %(most)s"
_NEWEST: LiteralString = _COLUMNS + " ORDER BY pushed_at DESC LIMIT %(most)s"

# A killed process leaves refusals without a message, at most those of a quarter of a second: the newest rows are
# enough to find them. A flood of many keys leaves some, too; only the last of those are found.
_LEFT: LiteralString = """
    SELECT v.rule_id, c.rule_name, c.scope, v.key, c.limit_type, c.limit_value, v.resource_type, v.occurred_at, l.hits
    FROM (
        SELECT * FROM rate_limit_violations WHERE occurred_at > clock_timestamp() - interval '5 minutes'
        ORDER BY occurred_at DESC, id DESC LIMIT 200
    ) AS v
    JOIN rate_limit_configs AS c ON c.id = v.rule_id
    CROSS JOIN LATERAL (
        SELECT v.hits - coalesce(sum(p.hits), 0)::bigint AS hits FROM push_messages AS p WHERE p.violation_id = v.id
    ) AS l
    WHERE v.last_at < clock_timestamp() - make_interval(secs => %(after_s)s) AND l.hits > 0
    ORDER BY v.last_at, v.id LIMIT %(most)s
"""

_EPISODE = TypeAdapter(Episode)


async def append(store: Store, violations: Sequence[Mapping[str, Any]]) -> None:
    """Store messages about refusals, each about no more than no other message is about. Raises Unavailable."""
    await store.rows("SELECT push_violations(%s::json)", (encode(violations),))


async def left(store: Store, after_s: float) -> list[dict[str, Any]]:
    """Return messages for refusals that, after so long, none is about. Raises Unavailable."""
    rows = await store.rows(_LEFT, {"after_s": after_s, "most": MAX_PENDING})
    return [{**row, "occurred_at": timestamp(row["occurred_at"])} for row in rows]


async def newest(store: Store, most: int) -> tuple[datetime, list[Message]]:
    """Return the latest position, and the newest messages. Raises Unavailable."""
    (row,) = await store.rows("SELECT push_position() AS next")
    messages = [_message(row) for row in reversed(await store.rows(_NEWEST, {"most": most}))]
    return messages[-1].position if messages else row["next"] - timedelta(milliseconds=1), messages


async def after(store: Store, position: datetime) -> list[Message]:
    """Return the next messages after a position, at most AT_ONCE. Raises Unavailable."""
    return [_message(row) for row in await store.rows(_AFTER, {"position": position, "most": AT_ONCE})]


def _message(row: DictRow) -> Message:
    if row["violation_id"] is None:
        return Message.stored("alert", _EPISODE.validate_python(row["data"]).to_json(), row["pushed_at"])
    return Message.stored("violation", {**row["data"], "hits": row["hits"]}, row["pushed_at"])
