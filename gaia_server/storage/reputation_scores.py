"""Stored reputation scores and events. `limiting.reputation` defines how events change a score."""

from collections.abc import Mapping
from typing import Any, LiteralString

from gaia_server.limiting.reputation import FACTORS, START, Reputation
from gaia_server.storage.queries import Listing
from gaia_server.storage.store import Store
from gaia_server.storage.users import key

_SCORE: LiteralString = """
    SELECT substr(key, 6) AS "user", score, tier, vip, reputation_factor(tier)::float8 AS factor, clean_requests,
        created_at, updated_at, key
    FROM reputation_scores
"""
_SHOWN: LiteralString = 'SELECT "user", score, tier, vip, factor, clean_requests, created_at, updated_at'

SCORES = Listing(_SCORE, "score, key", _SHOWN)
EVENTS = Listing(
    """
    SELECT id, substr(key, 6) AS "user", kind, severity, change, reason, occurred_at, key FROM reputation_events
    """,
    "occurred_at DESC, id DESC",
    'SELECT id, "user", kind, severity, change, reason, occurred_at',
)


async def read(store: Store, user: str) -> Mapping[str, Any] | None:
    """Return a user's reputation, None if none is stored. Raises Unavailable."""
    rows = await store.rows(f"{_SHOWN} FROM ({_SCORE} WHERE key = %s) AS known", (key(user),))
    return rows[0] if rows else None


async def write(store: Store, user: str, *, score: int, vip: bool, reason: str) -> None:
    """Set a user's reputation manually. Raises Unavailable."""
    await store.rows("SELECT reputation_set(%s, %s, %s, %s)", (key(user), score, vip, reason))


async def forget(store: Store, user: str) -> bool:
    """Delete a user's reputation and its events; False if none is stored. Raises Unavailable."""
    return bool(await store.rows("DELETE FROM reputation_scores WHERE key = %s RETURNING key", (key(user),)))


def start(user: str) -> Mapping[str, Any]:
    """Return the initial reputation of a user."""
    tier = Reputation().tier
    known = {"user": user, "score": START, "tier": tier, "vip": False, "factor": float(FACTORS[tier])}
    return {**known, "clean_requests": 0, "created_at": None, "updated_at": None}
