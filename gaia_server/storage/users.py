"""One user's limits: rules of scope `user`, for all users and for this one, and the use of each."""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from gaia_server.limiting.rules import NAME_PATTERN
from gaia_server.storage.queries import Listing
from gaia_server.storage.store import DELETE_RULES, DuplicateName, Rows, Run, Store

# The used share of each limit of each user, as of the newest admission.
_SHARES: LiteralString = """
    SELECT b.key, b.rule_id, (b.admitted - b.oldest_before)::float8 / greatest(c.limit_value, 1) AS share
    FROM rate_limit_configs AS c JOIN rate_limit_buckets AS b ON b.rule_id = c.id AND b.tail < b.head
        AND b.last_at > now() - rate_limit_window(c.limit_type)
    WHERE c.scope = 'user' AND c.enabled
    UNION ALL
    SELECT q.key, q.rule_id, q.used::float8 / greatest(c.limit_value, 1)
    FROM rate_limit_configs AS c JOIN resource_quotas AS q ON q.rule_id = c.id
        AND q.period_start = rate_limit_period_start(c.limit_type, now())
    WHERE c.scope = 'user' AND c.enabled
"""

# Only the order reads all users; the limit and its current use are looked up for the page.
# Also takes `reputation`: whether it is enabled.
USERS = Listing(
    f"SELECT key, max(share) AS share FROM ({_SHARES}) AS counted GROUP BY key",  # noqa: S608 - constants
    "share DESC, key",
    """
    SELECT substr(page.key, 6) AS "user", f.rule_id, c.rule_name, c.limit_type, c.limit_value, e.effective_limit,
        u.used, u.resets_at, coalesce(s.score, 50) AS score, coalesce(s.tier, 'standard') AS tier
    """,
    f"""
    CROSS JOIN LATERAL (
        SELECT counted.rule_id FROM ({_SHARES}) AS counted WHERE counted.key = page.key
        ORDER BY counted.share DESC, counted.rule_id LIMIT 1
    ) AS f
    JOIN rate_limit_configs AS c ON c.id = f.rule_id
    LEFT JOIN reputation_scores AS s ON s.key = page.key
    CROSS JOIN LATERAL (
        SELECT CASE WHEN %(reputation)s THEN reputation_limit(c.limit_value, coalesce(s.tier, 'standard'))
                    ELSE c.limit_value END AS effective_limit
    ) AS e
    CROSS JOIN LATERAL (
        SELECT w.used, w.resets_at FROM rate_limit_used(page.key, f.rule_id) AS w
        WHERE rate_limit_window(c.limit_type) IS NOT NULL
        UNION ALL
        SELECT q.used, rate_limit_period_end(c.limit_type, now())
        FROM resource_quotas AS q WHERE q.key = page.key AND q.rule_id = f.rule_id
    ) AS u
    """,  # noqa: S608 - constants
    sorts=("share", "key"),
)

_LIMITS: LiteralString = """
    SELECT c.id AS rule_id, c.rule_name, c.limit_type, c.resource_type, c.limit_value, c.enabled,
        c.scope_value IS NOT NULL AS own, e.effective_limit, u.used,
        greatest(e.effective_limit - u.used, 0) AS remaining, u.resets_at
    FROM rate_limit_configs AS c
    LEFT JOIN reputation_scores AS s ON s.key = %(key)s
    LEFT JOIN resource_quotas AS q ON q.key = %(key)s AND q.rule_id = c.id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN %(reputation)s THEN reputation_limit(c.limit_value, coalesce(s.tier, 'standard'))
                    ELSE c.limit_value END AS effective_limit
    ) AS e
    CROSS JOIN LATERAL (
        SELECT coalesce(w.used, 0) AS used, w.resets_at FROM rate_limit_used(%(key)s, c.id) AS w
        WHERE rate_limit_window(c.limit_type) IS NOT NULL
        UNION ALL
        SELECT CASE WHEN q.period_start = rate_limit_period_start(c.limit_type, now()) THEN q.used ELSE 0 END,
            rate_limit_period_end(c.limit_type, now())
        WHERE rate_limit_window(c.limit_type) IS NULL
    ) AS u
    WHERE c.scope = 'user' AND (c.scope_value = %(user)s OR (c.scope_value IS NULL AND c.enabled)) ORDER BY c.id
"""

# Rules that stay keep their counts. Of several rules of one type the oldest stays.
_REPLACE: LiteralString = """
    WITH wanted AS (
        SELECT * FROM unnest(%(types)s::text[], %(values)s::bigint[], %(names)s::text[])
            AS w (limit_type, limit_value, rule_name)
    ), kept AS (
        UPDATE rate_limit_configs AS c SET limit_value = w.limit_value, enabled = true
        FROM wanted AS w WHERE c.id = (
            SELECT min(o.id) FROM rate_limit_configs AS o
            WHERE o.scope = 'user' AND o.scope_value = %(user)s AND o.resource_type IS NULL
                AND o.limit_type = w.limit_type
        )
        RETURNING c.id, c.limit_type
    ), dropped AS (
        DELETE FROM rate_limit_configs AS c
        WHERE c.scope = 'user' AND c.scope_value = %(user)s AND c.resource_type IS NULL
            AND c.id NOT IN (SELECT id FROM kept)
    )
    INSERT INTO rate_limit_configs (rule_name, scope, scope_value, limit_type, limit_value)
    SELECT w.rule_name, 'user', %(user)s, w.limit_type, w.limit_value FROM wanted AS w
    WHERE w.limit_type NOT IN (SELECT limit_type FROM kept)
"""


_OWN: LiteralString = """
    SELECT id, rule_name, limit_type, limit_value, resource_type, enabled, updated_at
    FROM rate_limit_configs WHERE scope = 'user' AND scope_value = %(user)s ORDER BY id
"""


def key(user: str) -> str:
    """Return the key that the limiter counts a user by."""
    return f"user:{user}"


def rule_name(user: str, limit_type: str) -> str:
    """Return the rule name of a user's own limit; a user name that no rule name may contain is replaced by a digest."""
    name = f"user:{user}:{limit_type}"
    if re.fullmatch(NAME_PATTERN.rstrip("$"), name):
        return name
    return f"user:sha256:{hashlib.sha256(user.encode()).hexdigest()[:32]}:{limit_type}"


async def limits(store: Store, user: str, *, reputation: bool) -> Rows:
    """Return the limits that apply to a user, by rule. Raises Unavailable."""
    return await store.rows(_LIMITS, {"user": user, "key": key(user), "reputation": reputation})


async def replace_limits(
    store: Store, user: str, wanted: Mapping[str, int], may: Callable[[Rows], bool] = lambda _: True
) -> bool:
    """Make `wanted` (limit type -> value) the user's own limits over all resources, if `may` accepts the own rules now.

    Raises DuplicateName if another rule has the name of one of them, Unavailable.
    """
    arguments: dict[str, Any] = {
        "user": user,
        "types": list(wanted),
        "values": list(wanted.values()),
        "names": [rule_name(user, limit_type) for limit_type in wanted],
    }

    async def replace(run: Run) -> bool:
        if not may(await _locked(run, user)):
            return False
        await run(_REPLACE, arguments)
        return True

    try:
        return await store.transaction(replace)
    except psycopg.errors.UniqueViolation as error:
        raise DuplicateName(user) from error


async def own_rules(store: Store, user: str) -> Rows:
    """Return what a user's own limits are, without their counts. Raises Unavailable."""
    return await store.rows(_OWN, {"user": user})


async def delete_limits(store: Store, user: str, may: Callable[[Rows], bool] = lambda _: True) -> bool:
    """Delete a user's own rules with their counts, if `may` accepts them now; False if not. Raises Unavailable."""

    async def delete(run: Run) -> bool:
        if not may(await _locked(run, user)):
            return False
        own = sql.SQL("scope = 'user' AND scope_value = %(user)s")
        return bool(await run(sql.SQL(DELETE_RULES).format(own), {"user": user}))

    return await store.transaction(delete)


async def _locked(run: Run, user: str) -> Rows:
    """Return a user's own rules; other changes of the same user wait until the transaction ends."""
    await run("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (key(user),))
    return await run(_OWN, {"user": user})
