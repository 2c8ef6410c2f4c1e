"""What the probe sends: temporary rules for keys of its own, and so many requests that some are refused."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from gaia_checks.errors import Inconclusive
from gaia_checks.model import Target
from gaia_checks.target import rules
from gaia_checks.target.client import client, key
from gaia_checks.target.responses import CONFIG, Answer
from gaia_checks.target.temporary_rules import SETTLE_S

LIMIT = 5
REFUSED = 3
"""Under each refusing rule: so many requests are admitted, then so many are refused."""

ADMITTED = 3
"""Requests of the key that only generous rules apply to."""

_GENEROUS = 1000
_ODD = "a.b_c:d/e@f-g h"  # every kind of character that a name may have


@dataclass(frozen=True)
class KnownRule:
    """One temporary rule as it was sent, and what its key used of it."""

    body: Mapping[str, Any]
    id: int
    used: int
    hits: int  # refused requests

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["rule_name"])

    @property
    def counted_key(self) -> str:
        """The key of its counts, as the reports write it."""
        return f"api_key:{self.body['scope_value']}"


@dataclass
class Known:
    """The traffic that was sent, and the requests to ask for the reports."""

    http: httpx.Client
    rules: list[KnownRule] = field(default_factory=list)
    refusals: list[Answer] = field(default_factory=list)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def refusing(self) -> list[KnownRule]:
        """The rules that refused requests."""
        return [rule for rule in self.rules if rule.hits]

    def get(self, path: str, **parameters: Any) -> Answer:
        """Read a report, again after a 429. Raises Inconclusive without an answer."""
        return _answer(self.http, path, rules.Patience(), params=parameters)


def sent_in(known: Known) -> int:
    """Return how many requests of the known keys were answered."""
    return sum(rule.used + rule.hits for rule in known.refusing) + ADMITTED


@contextmanager
def prepared(target: Target) -> Iterator[Known]:
    """Yield the traffic before it is sent, with its rules in force; remove them at the end."""
    name = f"{key(target)}-figures"
    with client(target) as http, ExitStack() as stack:
        known = Known(http)
        for kind, used, hits in (("requests_per_hour", LIMIT, REFUSED), ("daily_quota", LIMIT, REFUSED)):
            body = rules.for_one_key(f"{name} {kind} {_ODD}", kind, LIMIT, key=f"{name}-{kind}")
            _create(stack, known, body, used, hits)
        for kind in ("requests_per_second", "requests_per_minute", "weekly_quota", "monthly_quota"):
            body = rules.for_one_key(f"{name} {kind}", kind, _GENEROUS, key=f"{name}-generous")
            _create(stack, known, body, ADMITTED, 0)
        disabled = rules.for_one_key(f"{name} disabled", "requests_per_hour", LIMIT, key=f"{name}-off") | {
            "enabled": False
        }
        _create(stack, known, disabled, 0, 0)
        time.sleep(SETTLE_S)
        known.started = datetime.now(UTC)
        yield known


def exceed(known: Known, rule: KnownRule) -> None:
    """Send the requests under a refusing rule. Raises Inconclusive when one gets no answer."""
    for number in range(LIMIT + REFUSED):
        patience = rules.Patience(10.0 if number < LIMIT else 0.0)  # other rules of the target may refuse as well
        answer = _answer(known.http, CONFIG, patience, params={"limit": 1}, headers=_headers(rule))
        if number >= LIMIT:
            known.refusals.append(answer)


def keep_within(known: Known) -> None:
    """Send the requests under the generous rules. Raises Inconclusive when one gets no answer."""
    generous = next(rule for rule in known.rules if rule.used and not rule.hits)
    for _ in range(ADMITTED):
        _answer(known.http, CONFIG, rules.Patience(), params={"limit": 1}, headers=_headers(generous))


def _headers(rule: KnownRule) -> dict[str, str]:
    return {"X-API-Key": rule.body["scope_value"]}


def _create(stack: ExitStack, known: Known, body: dict[str, Any], used: int, hits: int) -> None:
    created = stack.enter_context(rules.temporary(known.http, body))
    if created.status_code != 201:
        raise Inconclusive(f"POST {CONFIG} answered {created.status_code} instead of 201: no temporary rule exists")
    known.rules.append(KnownRule(body, created.json()["id"], used, hits))


def _answer(http: httpx.Client, path: str, patience: rules.Patience, **arguments: Any) -> Answer:
    try:
        response = rules.send(http, "GET", path, patience=patience, **arguments)
    except httpx.TransportError as error:
        raise Inconclusive(f"GET {path} got no answer: {type(error).__name__} {error}") from error
    try:
        body = response.json()
    except (ValueError, RecursionError):
        body = None
    return Answer(f"GET {path}", response.status_code, response.headers, response.text, body)
