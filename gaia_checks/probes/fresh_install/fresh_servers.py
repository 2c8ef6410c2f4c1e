"""Two server processes on one new database: one that trusts no proxy, one behind a trusted proxy, which the gate is."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import httpx

from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import Target
from gaia_checks.probes.rehearsal.copy_protocol import BareCopyProtocol
from gaia_checks.target import rules
from gaia_checks.target.client import client, key
from gaia_checks.target.responses import CONFIG, QUOTAS

PROXY = "127.0.0.1"
"""The gate's address, as the servers see it."""

OTHER = f"{QUOTAS}/nothing"
"""A path that is limited like every one below, and cheap: an admitted request is answered 404."""

ADMITTED, REFUSED = 404, 429

FORWARDED = "X-Forwarded-For"

_PATIENCE_S = 20.0

Sample = str | None
"""The fault; None for a good sample."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The two servers. All rules and keys are this run's own: nobody else uses the database."""

    direct: Target
    behind_proxy: Target

    def name(self, purpose: str) -> str:
        """Return a name for a rule, a key or a user."""
        return f"{key(self.direct)}-fresh-{purpose}"


def started(copy: BareCopyProtocol) -> Installation:
    """Start both servers. Raises NotReady."""
    with ThreadPoolExecutor(2) as pool:
        direct, behind = pool.map(lambda proxies: copy.start(TRUSTED_PROXIES=proxies).target, ("", f"{PROXY}/32"))
    return Installation(direct, behind)


def administrator(target: Target) -> httpx.Client:
    """Return a client with the token and without a key: it is counted by its address, or as whom its headers name."""
    return client(target, keyed=False)


def nobody(target: Target) -> httpx.Client:
    """Return a client with neither token nor key."""
    return client(replace(target, admin_token=None), keyed=False)


def body(name: str, scope: str, value: str | None, limit: int, **fields: Any) -> dict[str, Any]:
    """Return the API's body of a rule, per hour by default; `enabled` is left out, as true is its default. Pure."""
    return {
        "rule_name": name,
        "scope": scope,
        "scope_value": value,
        "limit_type": "requests_per_hour",
        "limit_value": limit,
        **fields,
    }


def rule(http: httpx.Client, name: str, scope: str, value: str | None, limit: int, **fields: Any) -> dict[str, Any]:
    """Create a rule, and return it as the server does. Raises TargetUnreachable if it is refused."""
    return dict(expect(http, 201, "POST", CONFIG, json=body(name, scope, value, limit, **fields)).json())


def changed(http: httpx.Client, before: Mapping[str, Any], **fields: Any) -> None:
    """Replace a rule by itself with other fields. Raises TargetUnreachable if it is refused."""
    made = ("id", "created_at", "updated_at")
    kept = {name: value for name, value in before.items() if name not in made}
    expect(http, 200, "PUT", f"{CONFIG}/{before['id']}", json={**kept, **fields})


def listed(http: httpx.Client) -> list[dict[str, Any]]:
    """Return the rules. Raises TargetUnreachable if they are refused."""
    return list(expect(http, 200, "GET", CONFIG, params={"limit": 200}).json()["items"])


def remove_all(http: httpx.Client) -> None:
    """Delete all rules, so that only those of the next trial decide. Raises TargetUnreachable if it is refused."""
    for each in listed(http):
        expect(http, 204, "DELETE", f"{CONFIG}/{each['id']}")


def unless(good: bool, wrong: str) -> Sample:
    """Return the fault unless all is good."""
    return None if good else wrong


def expect(http: httpx.Client, status: int, method: str, path: str, **arguments: Any) -> httpx.Response:
    """Return an answer, after the waits that limits demand. Raises TargetUnreachable if its status is another one."""
    answer = rules.send(http, method, path, patience=rules.Patience(_PATIENCE_S), **arguments)
    if answer.status_code != status:
        raise TargetUnreachable(
            f"{http.base_url}: {method} {path} answered {answer.status_code} instead of {status}: {answer.text[:200]}"
        )
    return answer
