"""Temporary rules of a run in the target: their bodies, their ids, and retries after 429.

A rule applies to one API key, so it limits only the gate. The gate removes left-over rules by their names.
"""

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from gaia_checks.target.responses import CONFIG

_LEAST_WAIT_S = 0.1


class _Headed(Protocol):
    """An answer with headers."""

    @property
    def headers(self) -> Any:
        """Its headers, with case-insensitive names."""


@dataclass
class Patience:
    """How long requests may wait in total when the target refuses them with 429: its limits apply to the gate as well.

    One instance may serve several requests, in threads or tasks of its caller's choice.
    """

    left_s: float = 10.0

    def wait_s(self, status: int, answer: _Headed) -> float | None:
        """Return the seconds after which to send the request again; None when its answer stands."""
        if status != 429 or (wait_s := _retry_after_s(answer)) > self.left_s:
            return None
        self.left_s -= wait_s
        return wait_s


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


def send(
    http: httpx.Client, method: str, path: str, *, patience: Patience | None = None, **arguments: Any
) -> httpx.Response:
    """Send a request and retry it on 429 with `patience`, 10 s by default; return the last answer.

    Raises httpx.HTTPError.
    """
    patience = patience or Patience()
    while True:
        answer = http.request(method, path, **arguments)
        if (wait_s := patience.wait_s(answer.status_code, answer)) is None:
            return answer
        time.sleep(wait_s)


@contextmanager
def temporary(http: httpx.Client, body: dict[str, Any]) -> Iterator[httpx.Response]:
    """Yield the target's answer to the creation of a rule; remove the rule at the end.

    Raises httpx.HTTPError when the target does not answer. The gate removes later what could not be removed here.
    """
    created = send(http, "POST", CONFIG, json=body)
    try:
        yield created
    finally:
        with contextlib.suppress(httpx.HTTPError, ValueError):
            remove(http, body["rule_name"])


def remove(http: httpx.Client, name: str) -> None:
    """Remove the rule of that name if it exists; its counts and refusals are deleted with it.

    Raises httpx.HTTPError, and ValueError when the target lists no rules.
    """
    for identity in named(http, name):
        send(http, "DELETE", f"{CONFIG}/{identity}")


def _retry_after_s(answer: _Headed) -> float:
    """Return the seconds that a refusal requires to wait: one by default."""
    try:
        return max(_LEAST_WAIT_S, float(answer.headers.get("Retry-After", "1")))
    except ValueError:
        return 1.0
