"""The temporary rules of one look, and requests that are counted under them.

They refuse nobody else: each is for a name of this run, or for unknown paths below /api/ with a limit nobody reaches.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from gaia_checks.errors import Inconclusive, TargetUnreachable
from gaia_checks.model import Target
from gaia_checks.target import rules
from gaia_checks.target.client import key
from gaia_checks.target.responses import CONFIG, QUOTAS

OTHER = f"{QUOTAS}/nothing"
"""A path that is limited like every one below, and cheap: an admitted request is answered 404."""

SPACING_S = 0.15
"""Between requests that the gate's address is counted for: below the default limit of ten a second."""

HEADERS = {"api_key": "X-API-Key", "user": "X-User-ID", "session": "X-Session-ID"}
"""Scope -> the header that names whom a request counts for."""

_ITEM = re.compile(r'"([^"]+)"((?:\s*;\s*[a-z]+=\d+)*)')
_PARAMETER = re.compile(r"([a-z]+)=(\d+)")
_PATIENCE_S = 20.0
_SHOWN = 200  # characters of an answer


@dataclass(frozen=True, slots=True)
class TemporaryRule:
    """One temporary rule, as the server accepted it."""

    id: int
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name in the server."""
        return str(self.body["rule_name"])

    @property
    def value(self) -> str:
        """Whose requests it counts."""
        return str(self.body["scope_value"])

    @property
    def limit(self) -> int:
        """How many it admits."""
        return int(self.body["limit_value"])


@dataclass(frozen=True, slots=True)
class Standings:
    """An answer's status, and what its headers report of each rule that applied."""

    status: int
    limits: Mapping[str, int]  # rule -> q of RateLimit-Policy
    remaining: Mapping[str, int]  # rule -> r of RateLimit
    windows: Mapping[str, int]  # rule -> w of RateLimit-Policy

    @property
    def named(self) -> str:
        """The rules that applied, for people."""
        return ", ".join(sorted(self.limits)) or "no rule"


def standings(response: httpx.Response) -> Standings:
    """Return what a response reports."""
    policy = "RateLimit-Policy"
    limits, remaining, windows = (
        _numbers(response, *each) for each in ((policy, "q"), ("RateLimit", "r"), (policy, "w"))
    )
    return Standings(response.status_code, limits, remaining, windows)


class TemporaryRules:
    """Creates, changes and removes rules. Raises httpx.HTTPError when the server does not answer."""

    def __init__(self, admin: httpx.Client, target: Target) -> None:
        self._admin, self._url, self._run = admin, target.base_url, key(target)
        self._patience = rules.Patience(_PATIENCE_S)
        self._made: dict[int, TemporaryRule] = {}
        self._users: set[str] = set()

    def whom(self, purpose: str) -> str:
        """Return a name of this run for a key, a user or a session."""
        return f"{self._run}-identity-{purpose}"

    def create(
        self,
        purpose: str,
        scope: str,
        value: str | None,
        limit: int,
        limit_type: str = "requests_per_hour",
        **also: Any,
    ) -> TemporaryRule:
        """Create a rule; `enabled` is left out, as true is its default. Raises Inconclusive when it is refused."""
        body = {
            **rules.for_one_key(self.whom(purpose), limit_type, limit),
            "scope": scope,
            "scope_value": value,
            **also,
        }
        del body["enabled"]
        answer = rules.send(self._admin, "POST", CONFIG, patience=self._patience, json=body)
        if answer.status_code != 201:
            raise Inconclusive(
                f"who is counted as whom shows in rules of the scopes {', '.join(HEADERS)}; POST {CONFIG} of one of "
                f"scope {scope} answered {answer.status_code} instead of 201: {answer.text[:_SHOWN]}"
            )
        made = self._made[answer.json()["id"]] = TemporaryRule(answer.json()["id"], body)
        return made

    def change(self, rule: TemporaryRule, **fields: Any) -> TemporaryRule:
        """Replace a rule by itself with other fields."""
        changed = TemporaryRule(rule.id, {**rule.body, **fields})
        self._send(200, "PUT", f"{CONFIG}/{rule.id}", json=changed.body)
        return changed

    def delete(self, rule: TemporaryRule) -> None:
        """Delete a rule."""
        self._send(204, "DELETE", f"{CONFIG}/{rule.id}")
        self._made.pop(rule.id, None)

    def applying_to_all(self) -> dict[str, Any]:
        """Return, by name, the enabled rules of all addresses, and the global ones, for unknown paths."""
        found = {}
        for scope in ("ip", "global"):
            page = self._send(200, "GET", CONFIG, params={"scope": scope, "enabled": "true", "limit": 200}).json()
            for rule in page["items"]:
                if rule["scope"] == scope and rule["scope_value"] is None and rule["resource_type"] in (None, "other"):
                    found[rule["rule_name"]] = rule
        return found

    def ask(
        self, http: httpx.Client, scope: str, value: str | bytes, method: str = "GET", path: str = OTHER
    ) -> Standings:
        """Send a request that names somebody."""
        if scope == "user" and isinstance(value, str):
            self._users.add(value)
        return standings(
            http.request(
                method,
                path,
                headers=httpx.Headers(
                    [(HEADERS[scope].encode(), value if isinstance(value, bytes) else value.encode())]
                ),
            )
        )

    def remove(self) -> None:
        """Delete all rules, and the reputations that requests may have made. The gate deletes what is left."""
        with contextlib.suppress(httpx.HTTPError, TargetUnreachable):
            for rule in list(self._made.values()):
                self.delete(rule)
            for user in self._users:
                rules.send(self._admin, "DELETE", f"{QUOTAS}/reputation/{user}", patience=self._patience)

    def _send(self, status: int, method: str, path: str, **arguments: Any) -> httpx.Response:
        answer = rules.send(self._admin, method, path, patience=self._patience, **arguments)
        if answer.status_code != status:
            raise TargetUnreachable(
                f"{self._url}: {method} {path} answered {answer.status_code} instead of {status}: "
                f"{answer.text[:_SHOWN]}"
            )
        return answer


def _numbers(response: httpx.Response, header: str, parameter: str) -> dict[str, int]:
    items = _ITEM.findall(response.headers.get(header, ""))
    return {
        name: int(found[parameter]) for name, text in items if parameter in (found := dict(_PARAMETER.findall(text)))
    }
