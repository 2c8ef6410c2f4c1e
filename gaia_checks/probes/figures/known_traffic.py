"""What the probe sends: temporary rules for keys of its own, and so many requests that some are refused."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from gaia_checks.errors import Inconclusive
from gaia_checks.model import Target
from gaia_checks.target import rules
from gaia_checks.target.client import client, key
from gaia_checks.target.responses import CONFIG, VIOLATIONS, Answer
from gaia_checks.target.temporary_rules import SETTLE_S

LIMIT = 5
"""Under each refusing rule, so many requests are admitted; then its `hits` are refused."""

_REFUSED, _MANY_REFUSED = 3, 13
"""Refused by the first and the second rule: all but one at the same time, so that a server counts several at once."""

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

    http: httpx.Client  # its one connection leads to one process, where the server has several
    beside: httpx.Client  # for requests at the same time
    of_several: bool = False  # the target has several instances: each request may reach another
    rules: list[KnownRule] = field(default_factory=list)
    refusals: list[Answer] = field(default_factory=list)
    after_one: dict[int, Answer] = field(default_factory=dict)  # a rule's violations after its first refusal
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def refusing(self) -> list[KnownRule]:
        """The rules that refused requests."""
        return [rule for rule in self.rules if rule.hits]

    @property
    def generous(self) -> list[KnownRule]:
        """The rules that admitted all requests of their key."""
        return [rule for rule in self.rules if rule.used and not rule.hits]

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
    with client(target) as http, client(target) as beside, ExitStack() as stack:
        known = Known(http, beside, of_several=bool(target.instances))
        for kind, used, hits in (("requests_per_hour", LIMIT, _REFUSED), ("daily_quota", LIMIT, _MANY_REFUSED)):
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
    for _ in range(LIMIT):
        _sent(known, rule, 10.0)  # other rules of the target may refuse as well
    known.refusals.append(_sent(known, rule, 0.0))
    known.after_one[rule.id] = known.get(VIOLATIONS, rule_id=rule.id)
    left = rule.hits - 1
    with ThreadPoolExecutor(left) as together:
        known.refusals += together.map(lambda _: _sent(known, rule, 0.0, known.beside), range(left))


def keep_within(known: Known, requests: int) -> None:
    """Send requests under the generous rules. Raises Inconclusive when one gets no answer."""
    for _ in range(requests):
        _sent(known, known.generous[0], 10.0)


def remove(known: Known, rule: KnownRule) -> None:
    """Remove a rule before the others. Raises Inconclusive when that fails."""
    try:
        rules.remove(known.http, rule.name)
    except (httpx.HTTPError, ValueError) as error:
        raise Inconclusive(f"the rule {rule.name} was not removed: {type(error).__name__} {error}") from error


def _sent(known: Known, rule: KnownRule, patience_s: float, by: httpx.Client | None = None) -> Answer:
    headers = {"X-API-Key": rule.body["scope_value"]}
    return _answer(by or known.http, CONFIG, rules.Patience(patience_s), params={"limit": 1}, headers=headers)


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
