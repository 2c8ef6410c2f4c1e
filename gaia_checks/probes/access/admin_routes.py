"""The requests that only an administrator may send: every method of every route. Pure.

The routes are the contract's, and those of the target's own OpenAPI document. What writes goes to the gate's own rule
and user only, or creates a rule of the gate: it is harmless even where it is not refused.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gaia_checks.target.responses import CONFIG, METRICS, QUOTAS

PUBLIC = ("/health", "/livez", "/readyz", METRICS, "/openapi.json", "/admin/quotas")

RULE, USER, REPUTATION = f"{CONFIG}/{{id}}", f"{QUOTAS}/users/{{user}}", f"{QUOTAS}/reputation/{{user}}"
_LISTS = ("config", "usage", "violations", "alerts", "analytics", "users", "reputation", "reputation-events")
_ADMIN = (*(f"{QUOTAS}/{name}" for name in _LISTS), RULE, USER, REPUTATION)
_WRITES = ("POST", "PUT", "PATCH", "DELETE")

NOT_FOUND = (404, 405, 501)
"""Answers of a server that does not have a route, or not with that method."""


@dataclass(frozen=True, slots=True)
class Own:
    """What the gate has created in the target to aim at."""

    rule: Mapping[str, Any]  # as it was created
    rule_id: int
    user: str


@dataclass(frozen=True, slots=True)
class AdminRequest:
    """One request, and which answers refuse it."""

    method: str
    path: str
    body: Any = None
    refusals: tuple[int, ...] = field(default=(401, 403))

    @property
    def writes(self) -> bool:
        """Whether it would change something."""
        return self.method in _WRITES


def requests(document: Any, own: Own) -> list[AdminRequest]:
    """Return the requests; `document` is the target's OpenAPI document, if it has one."""
    reads = [read for path in sorted({*_ADMIN, *_guarded(document)}) for read in _reads(_aimed(path, own))]
    return [*reads, AdminRequest("POST", CONFIG, {**own.rule, "rule_name": f"{own.rule['rule_name']}-new"}), *_on(own)]


def respelled(own: Own) -> Iterator[AdminRequest]:
    """Yield paths that a server may route without having guarded them."""
    for path in (CONFIG, f"{CONFIG}/{own.rule_id}", f"{QUOTAS}/users"):
        head, _, last = path.rpartition("/")
        for spelled in (
            f"{path}/",
            f"/{path}",
            f"{head}//{last}",
            f"{head}/%{ord(last[0]):x}{last[1:]}",
            f"{path};x=1",
        ):
            yield AdminRequest("GET", spelled, refusals=(400, 401, 403, 404, 405, 301, 302, 307, 308))


def _reads(path: str) -> Iterator[AdminRequest]:
    for method in ("GET", "HEAD"):
        yield AdminRequest(method, path)


def _on(own: Own) -> Iterator[AdminRequest]:
    """Yield every writing method on the gate's own rule and user; those that the contract lacks may not exist."""
    bodies = {
        RULE: {**own.rule, "limit_value": own.rule["limit_value"] - 1},
        USER: {"limits": {"daily_quota": 1_000_000}},
        REPUTATION: {"score": 49, "reason": "sent without permission"},
    }
    for path, body in bodies.items():
        for method in _WRITES:
            kept = method in ("PUT", "DELETE")
            refusals = (401, 403) if kept else (401, 403, *NOT_FOUND)
            yield AdminRequest(method, _aimed(path, own), None if method == "DELETE" else body, refusals)


def _guarded(document: Any) -> Iterable[str]:
    """Return the paths with a GET that a document says need an administrator: by their place, or by `security`."""
    paths = document.get("paths") if isinstance(document, dict) else None
    for path, operations in (paths if isinstance(paths, dict) else {}).items():
        read = operations.get("get") if isinstance(operations, dict) else None
        if isinstance(read, dict) and (path.startswith(f"{QUOTAS}/") or read.get("security", document.get("security"))):
            yield path


def _aimed(path: str, own: Own) -> str:
    found = path.replace("{id}", str(own.rule_id)).replace("{user}", own.user)
    return re.sub(r"\{[^}]*\}", "1", found)
