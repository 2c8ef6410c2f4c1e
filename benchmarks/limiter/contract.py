"""Calls of the server's admin API, with the contract's names."""

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

IN_FORCE_WITHIN_S = 10.0
PAGE = 200
TOKEN = "token-of-the-benchmark"  # noqa: S105 - of servers that this benchmark starts and stops
ADMIN = {"X-Session-ID": "benchmark", "Authorization": f"Bearer {TOKEN}"}
"""The sender of admin requests, which no rule of the benchmark limits."""
PROBE = {"X-User-ID": "probe"}


def create_rule(port: int, **fields: Any) -> dict[str, Any]:
    """Create a rule, by default per user; return it."""
    body = {"rule_name": f"rule-{time.monotonic_ns()}", "scope": "user", **fields}
    answer = httpx.post(f"{_home(port)}/config", json=body, headers=ADMIN)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


@contextmanager
def rule(ports: Sequence[int], **fields: Any) -> Iterator[dict[str, Any]]:
    """Keep a rule in force on all servers while the block runs."""
    made = create_rule(ports[0], **fields)
    try:
        for port in ports:
            _await_in_force(port, made["rule_name"])
        yield made
    finally:
        delete_rule(ports[0], made["id"])


def delete_rule(port: int, rule_id: int) -> None:
    """Delete a rule and all its counts."""
    httpx.delete(f"{_home(port)}/config/{rule_id}", headers=ADMIN, timeout=60).raise_for_status()


def used(port: int, rule_id: int, name: str) -> dict[str, int]:
    """Return the usage of a rule by each user whose name begins with `name`."""
    found: dict[str, int] = {}
    for offset in itertools.count(0, PAGE):
        query = {"rule_id": rule_id, "limit": PAGE, "offset": offset}
        page = httpx.get(f"{_home(port)}/usage", params=query, headers=ADMIN, timeout=30).raise_for_status().json()
        found |= {item["key"].removeprefix("user:"): item["used"] for item in page["items"]}
        if len(page["items"]) < PAGE:
            break
    return {key: count for key, count in found.items() if key.startswith(f"{name}-")}


def _await_in_force(port: int, name: str) -> None:
    deadline = time.monotonic() + IN_FORCE_WITHIN_S
    while f'"{name}"' not in httpx.get(f"http://127.0.0.1:{port}/api/", headers=PROBE).headers.get("ratelimit", ""):
        if time.monotonic() > deadline:
            raise SystemExit(f"the rule {name} is not in force at port {port} after {IN_FORCE_WITHIN_S:g} s")
        time.sleep(0.02)


def _home(port: int) -> str:
    return f"http://127.0.0.1:{port}/api/admin/quotas"
