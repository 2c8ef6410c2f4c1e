"""Reads the body of /health."""

from dataclasses import dataclass
from typing import Any

import httpx

PATH = "/health"


@dataclass(frozen=True, slots=True)
class Pool:
    """The connections to the database that a body of /health reports."""

    size: int
    in_use: int


def read(response: httpx.Response) -> dict[str, Any]:
    """Return the body of an answer of /health; empty when it is no JSON object."""
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def database_connected(body: dict[str, Any]) -> bool:
    """Whether a body of /health reports a connected database."""
    check = checks(body).get("database")
    return (check.get("status") if isinstance(check, dict) else check) in ("ok", "connected", "healthy")


def incomplete(body: dict[str, Any]) -> str | None:
    """Return what is missing in the body of a server that reports its pool, as the contract has it; else None.

    Others report less, and are not judged on it.
    """
    if _pool(body) is None:
        return None
    for name in ("rate_limiting", "websocket"):
        if not isinstance(checks(body).get(name), dict):
            return f"checks.{name} is {checks(body).get(name)!r}, not an object"
    features = body.get("features")
    if not isinstance(features, dict) or not all(isinstance(switch, bool) for switch in features.values()):
        return f"features is {features!r}, not an object of switches"
    return None


def pools(response: httpx.Response) -> list[Pool]:
    """Return the pool that an answer of /health reports; none where it reports none."""
    pool = _pool(read(response))
    return [pool] if pool else []


def _pool(body: dict[str, Any]) -> Pool | None:
    database = checks(body).get("database")
    pool = database.get("pool") if isinstance(database, dict) else None
    size, in_use = (pool.get(name) if isinstance(pool, dict) else None for name in ("size", "in_use"))
    return Pool(size, in_use) if isinstance(size, int) and isinstance(in_use, int) else None


def checks(body: dict[str, Any]) -> dict[str, Any]:
    """Return the checks in a body of /health; empty when there are none."""
    checks = body.get("checks")
    return checks if isinstance(checks, dict) else {}
