"""Reads the body of /health."""

from typing import Any

import httpx

PATH = "/health"


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


def checks(body: dict[str, Any]) -> dict[str, Any]:
    """Return the checks in a body of /health; empty when there are none."""
    checks = body.get("checks")
    return checks if isinstance(checks, dict) else {}
