"""Rules of a run's own in the target: what they look like, which are there, and the server's word "later".

A rule is for one API key, so nobody but us is limited by it. The gate removes what a look could not, by the name.
"""

import time
from typing import Any, Protocol

import httpx

from gaia_checks.target.responses import CONFIG

_PATIENCE_S = 10.0
_SOONEST_S = 0.1


class _Headed(Protocol):
    """An answer."""

    @property
    def headers(self) -> Any:
        """Its headers, by names in any case."""


def for_one_key(name: str, limit_type: str, limit_value: int, *, key: str | None = None) -> dict[str, Any]:
    """Return a rule for one API key, `name` if no other, as the API takes it. Pure."""
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

    A server that ignores the filter gives others' rules as well: they are not ours to touch.
    """
    answer = http.get(CONFIG, params={"rule_name": name})
    try:
        return [rule["id"] for rule in answer.json()["items"] if rule["rule_name"] == name]
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"GET {CONFIG}: no list of rules") from error


def later_s(answer: _Headed) -> float:
    """Return how long a refusal asks us to wait: a second where it does not say."""
    try:
        return max(_SOONEST_S, float(answer.headers.get("Retry-After", "1")))
    except ValueError:
        return 1.0


def patiently(http: httpx.Client, method: str, path: str, **arguments: Any) -> httpx.Response:
    """Send a request, again while the server says "later": its own limits hold for us as for anybody.

    After 10 s a refusal is the answer. Raises httpx.HTTPError.
    """
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        answer = http.request(method, path, **arguments)
        if answer.status_code != 429 or time.monotonic() + later_s(answer) > deadline_s:
            return answer
        time.sleep(later_s(answer))
