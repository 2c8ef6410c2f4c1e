"""Temporary rules of a run in the target: their bodies, their ids, and retries after 429.

A rule applies to one API key, so it limits only the gate. The gate removes left-over rules by their names.
"""

import time
from typing import Any, Protocol

import httpx

from gaia_checks.target.responses import CONFIG

_RETRY_WITHIN_S = 10.0
_LEAST_WAIT_S = 0.1


class _Headed(Protocol):
    """An answer with headers."""

    @property
    def headers(self) -> Any:
        """Its headers, with case-insensitive names."""


def for_one_key(name: str, limit_type: str, limit_value: int, *, key: str | None = None) -> dict[str, Any]:
    """Return the API's body of a rule for one API key, `name` by default. Pure."""
    return {
        "rule_name": name,
        "scope": "api_key",
        "scope_value": key or name,
        "limit_type": limit_type,
        "limit_value": limit_value,
        "enabled": True,
    }


def named(http: httpx.Client, name: str) -> list[int]:
    """Return the ids of the rules of that name: none or one. Raises httpx.HTTPError, and ValueError for no list.

    A server that ignores the filter also returns rules of other owners: they are left out.
    """
    answer = http.get(CONFIG, params={"rule_name": name})
    try:
        return [rule["id"] for rule in answer.json()["items"] if rule["rule_name"] == name]
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"GET {CONFIG}: no list of rules") from error


def later_s(answer: _Headed) -> float:
    """Return the waiting time of a refusal: a second by default."""
    try:
        return max(_LEAST_WAIT_S, float(answer.headers.get("Retry-After", "1")))
    except ValueError:
        return 1.0


def patiently(http: httpx.Client, method: str, path: str, **arguments: Any) -> httpx.Response:
    """Send a request; retry it on 429, as the server's limits apply to the gate as well.

    After 10 s return the refusal. Raises httpx.HTTPError.
    """
    deadline_s = time.monotonic() + _RETRY_WITHIN_S
    while True:
        answer = http.request(method, path, **arguments)
        if answer.status_code != 429 or time.monotonic() + later_s(answer) > deadline_s:
            return answer
        time.sleep(later_s(answer))
