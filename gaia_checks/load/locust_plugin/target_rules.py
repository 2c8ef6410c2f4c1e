"""Rules that a load creates in the target, and removes when it is over."""

import json
from typing import Any, Protocol

from gaia_checks.load.engines.gevent_client import NoReply
from gaia_checks.load.http.response_parser import Answer

API = "/api/admin/quotas"


class Exchange(Protocol):
    """Sends one request. Raises NoReply."""

    def __call__(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """Return the whole answer."""


class Rules:
    """The rules of one load."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._paths: list[str] = []

    def add(self, name: str, per_s: int, *, enabled: bool = True) -> tuple[str, dict[str, Any]]:
        """Let the API key `name` have `per_s` requests a second; return the rule's path and itself. Raises NoReply."""
        rule = {
            "rule_name": name, "scope": "api_key", "scope_value": name, "limit_type": "requests_per_second",
            "limit_value": per_s, "enabled": enabled,
        }  # fmt: skip
        reply = self._exchange("POST", f"{API}/config", rule)
        if reply.status != 201:
            raise NoReply(f"POST {API}/config: status {reply.status} instead of 201; the load needs a rule of its own")
        path = f"{API}/config/{json.loads(reply.body)['id']}"
        self._paths.append(path)
        return path, rule

    def remove(self) -> None:
        """Remove all, and with them what was counted by them. Raises NoReply."""
        while self._paths:
            self._exchange("DELETE", self._paths.pop())
