"""What each server process measured of itself, for the alert rules of all processes."""

from collections.abc import Mapping
from typing import Any, LiteralString

from gaia_server.storage.store import Store

_PUT: LiteralString = """
    WITH stopped AS (
        DELETE FROM server_measurements WHERE measured_at < now() - interval '1 minute' AND instance <> %(instance)s
    )
    INSERT INTO server_measurements (
        instance, measured_at, memory_bytes, pool_in_use, pool_max, load_percent, requests, errors
    ) VALUES (
        %(instance)s, clock_timestamp(), %(memory_bytes)s, %(pool_in_use)s, %(pool_max)s, %(load_percent)s,
        %(requests)s, %(errors)s
    )
    ON CONFLICT (instance) DO UPDATE SET measured_at = excluded.measured_at, memory_bytes = excluded.memory_bytes,
        pool_in_use = excluded.pool_in_use, pool_max = excluded.pool_max, load_percent = excluded.load_percent,
        requests = excluded.requests, errors = excluded.errors
"""


async def put(store: Store, measured: Mapping[str, Any]) -> None:
    """Replace what a process measured of itself; remove the rows of processes that stopped. Raises Unavailable."""
    await store.rows(_PUT, measured)
