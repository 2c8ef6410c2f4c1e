"""Rules that a load creates in the target, and removes when it has finished."""

import json
from typing import Any, Protocol

from gaia_checks.load.engines.gevent_client import NoReply
from gaia_checks.load.http.response_parser import HttpResponse

API = "/api/admin/quotas"


class SendRequest(Protocol):
    """Sends one request. Raises NoReply."""

    def __call__(self, method: str, path: str, body: dict[str, Any] | None = None) -> HttpResponse:
        """Return the complete response."""


class Rules:
    """The rules that one load created."""

    def __init__(self, exchange: SendRequest) -> None:
        self._exchange = exchange
        self._paths: list[str] = []

    def add(self, name: str, per_s: int, *, enabled: bool = True) -> tuple[str, dict[str, Any]]:
        """Create a rule of `per_s` requests a second for the API key `name`; return path and body. Raises NoReply."""
        rule = {
            "rule_name": name, "scope": "api_key", "scope_value": name, "limit_type": "requests_per_second",
            "limit_value": per_s, "enabled": enabled,
        }  # fmt: skip
        reply = self._exchange("POST", f"{API}/config", rule)
        if reply.status in (401, 403):
            raise NoReply(
                f"POST {API}/config: status {reply.status}: the admin token is missing or wrong; "
                "export the server's ADMIN_TOKEN as GAIA_ADMIN_TOKEN"
            )
        if reply.status != 201:
            raise NoReply(f"POST {API}/config: status {reply.status} instead of 201; the load cannot create its rule")
        path = f"{API}/config/{json.loads(reply.body)['id']}"
        self._paths.append(path)
        return path, rule

    def remove(self) -> None:
        """Remove all rules, together with their counts. Raises NoReply."""
        while self._paths:
            self._exchange("DELETE", self._paths.pop())
