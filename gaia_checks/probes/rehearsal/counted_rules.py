"""Temporary rules of this run, requests that they count, and the counts that the server reports.

Each rule has its own key, so only the probe's requests count under it.
"""

import contextlib
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from gaia_checks.errors import Inconclusive, TargetUnreachable
from gaia_checks.model import Target
from gaia_checks.target import rules
from gaia_checks.target.client import client, key
from gaia_checks.target.responses import CONFIG, USAGE

_AT_ONCE = 8
_SETTLE_S = 1.0
_PATIENCE_S = 10.0
_REMAINING = re.compile(r'"([^"]+)"\s*;[^,]*?\br=(\d+)')


@dataclass(frozen=True, slots=True)
class CountedRule:
    """One temporary rule with its own key."""

    id: int
    name: str
    key: str
    limit_type: str
    limit: int


@dataclass(frozen=True, slots=True)
class CountedReply:
    """The answer to one counted request."""

    status: int
    remaining: Mapping[str, int] = field(default_factory=dict)  # rule -> r of the header RateLimit
    tightest: int | None = None  # X-RateLimit-Remaining
    retry_after_s: int | None = None

    @property
    def refused_by(self) -> list[str]:
        """The rules with nothing left, of a refusal."""
        return [name for name, left in self.remaining.items() if left == 0] if self.status == 429 else []


@dataclass(frozen=True, slots=True)
class ListedUsage:
    """The listed usage of one rule's key; zero when it is not listed."""

    status: int
    used: int | None
    remaining: int | None


class Counting:
    """Creates rules, sends requests that they count, and reads the counts."""

    def __init__(self, http: httpx.Client, target: Target) -> None:
        self._http = http
        self._target = target
        self._made: list[int] = []

    def rule(self, purpose: str, limit_type: str, limit: int) -> CountedRule:
        """Create a rule with its own key. Raises TargetUnreachable when the server refuses it."""
        name = f"{key(self._target)}-{purpose}"
        return self._create(CountedRule(0, name, name, limit_type, limit))

    def known(self) -> None:
        """Create a rule for this run's key, so that no default rule counts the requests for rules and usage."""
        self._create(CountedRule(0, key(self._target), key(self._target), "requests_per_second", 1000))

    def limited(self, rule: CountedRule, limit: int) -> CountedRule:
        """Change a rule's limit; its counts stay."""
        changed = replace(rule, limit=limit)
        self.expect(200, "PUT", f"{CONFIG}/{rule.id}", json=_body(changed))
        return changed

    def settle(self) -> None:
        """Wait until new and changed rules are in force on all server processes."""
        time.sleep(_SETTLE_S)

    def send(self, rule: CountedRule, number: int) -> list[CountedReply]:
        """Send `number` requests under the rule's key, several at once.

        Raises TargetUnreachable when one is not answered, as it is unknown then whether it counts, and Inconclusive
        when another rule refuses one that this rule counts. A rule that does not count it is not in force.
        """
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            replies = list(pool.map(lambda _: self._count(rule), range(number)))
        for reply in replies:
            if reply.refused_by and rule.name in reply.remaining and rule.name not in reply.refused_by:
                raise Inconclusive(
                    f"the rule {reply.refused_by[0]} refuses requests of this gate, so it is unknown what should be "
                    "counted; disable the rule while the gate runs, or raise its limit"
                )
        return replies

    def usage(self, rule: CountedRule) -> ListedUsage:
        """Return the listed usage of the rule's key."""
        answer = self._request("GET", USAGE, params={"key": f"api_key:{rule.key}"})
        body = answer.json() if answer.status_code == 200 else {}
        listed = [item for item in body.get("items", ()) if item.get("rule_id") == rule.id]
        if not listed:
            return ListedUsage(answer.status_code, 0, rule.limit)
        return ListedUsage(answer.status_code, listed[0].get("used"), listed[0].get("remaining"))

    def lost(self, rule: CountedRule) -> str | None:
        """Return which part of the rule the server has lost or changed; None when it is complete."""
        answer = self._request("GET", f"{CONFIG}/{rule.id}")
        if answer.status_code != 200:
            return f"GET {CONFIG}/{rule.id} answers {answer.status_code}: the rule {rule.name} is lost"
        body, wanted = answer.json(), _body(rule)
        lost = [name for name, value in wanted.items() if body.get(name) != value]
        return f"{lost[0]} of {rule.name} is {body.get(lost[0])!r} instead of {wanted[lost[0]]!r}" if lost else None

    def remove(self) -> None:
        """Delete every rule created here. The gate deletes the rest later, by their names."""
        with contextlib.suppress(Inconclusive):
            while self._made:
                self._request("DELETE", f"{CONFIG}/{self._made[-1]}")
                self._made.pop()

    def _create(self, rule: CountedRule) -> CountedRule:
        created = replace(rule, id=int(self.expect(201, "POST", CONFIG, json=_body(rule)).json()["id"]))
        self._made.append(created.id)
        return created

    def _count(self, rule: CountedRule) -> CountedReply:
        answer = self._send("GET", CONFIG, params={"limit": 1}, headers={"X-API-Key": rule.key})
        return CountedReply(
            answer.status_code,
            {name: int(left) for name, left in _REMAINING.findall(answer.headers.get("RateLimit", ""))},
            _whole(answer.headers.get("X-RateLimit-Remaining")),
            _whole(answer.headers.get("Retry-After")),
        )

    def expect(self, status: int, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Return the answer to a request. Raises TargetUnreachable when its status is another one."""
        answer = self._request(method, path, **arguments)
        if answer.status_code != status:
            raise TargetUnreachable(
                f"{self._target.base_url}: {method} {path} answered {answer.status_code} instead of {status}: "
                f"{answer.text[:200]}"
            )
        return answer

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Send a request and retry it on 429. Raises Inconclusive when it is refused for too long."""
        patience = rules.Patience(_PATIENCE_S)
        while (answer := self._send(method, path, **arguments)).status_code == 429:
            if (wait_s := patience.wait_s(429, answer)) is None:
                raise Inconclusive(f"{method} {path} is refused for {_PATIENCE_S:.0f} s and more: {answer.text[:200]}")
            time.sleep(wait_s)
        return answer

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
            raise TargetUnreachable(
                f"{self._target.base_url}: no answer to {method} {path} ({why}); is it running?"
            ) from error


@contextmanager
def counting(target: Target) -> Iterator[Counting]:
    """Yield a Counting in `target`; remove its rules afterwards."""
    with client(target) as http:
        found = Counting(http, target)
        try:
            yield found
        finally:
            found.remove()


def wrong_split(rule: CountedRule, replies: Sequence[CountedReply], *, admitted: int) -> str | None:
    """Return the fault unless the rule counted all requests, admitted exactly `admitted` and refused all others."""
    expected = +Counter({200: admitted, 429: len(replies) - admitted})
    found = Counter(reply.status for reply in replies)
    uncounted = [reply.remaining for reply in replies if rule.name not in reply.remaining]
    if uncounted and (found != expected or any(uncounted)):
        others = ", ".join(sorted({name for remaining in uncounted for name in remaining})) or "no rule"
        return f"{rule.limit_type}: the rule {rule.name} was accepted and is not in force: {others} counts instead"
    if found == expected:
        return None
    return f"{rule.limit_type}: of {len(replies)} requests {_statuses(found)}, should be {_statuses(expected)}"


def wrong_usage(rule: CountedRule, found: ListedUsage, *, used: int) -> str | None:
    """Return the fault unless the listed usage matches the admitted requests and the rest of the limit."""
    if found.status != 200:
        return f"{rule.limit_type}: GET {USAGE} answers {found.status}"
    left = rule.limit - used
    if (found.used, found.remaining) == (used, left):
        return None
    reported = f"{found.used} used and {found.remaining} left"
    return f"{rule.limit_type}: GET {USAGE} reports {reported}, should be {used} used and {left} left"


def wrong_headers(rule: CountedRule, reply: CountedReply, *, left: int) -> str | None:
    """Return the fault unless the headers of a reply report this rest of the rule."""
    reported = reply.remaining.get(rule.name)
    if reported != left:
        return f"{rule.limit_type}: RateLimit reports r={reported} of the rule, should be {left}"
    if reply.tightest != min(reply.remaining.values()):
        return (
            f"{rule.limit_type}: X-RateLimit-Remaining is {reply.tightest}, RateLimit reports {dict(reply.remaining)}"
        )
    return None


def _statuses(statuses: Counter[int]) -> str:
    return ", ".join(f"{number} were answered {status}" for status, number in sorted(statuses.items()))


def _body(rule: CountedRule) -> dict[str, Any]:
    return rules.for_one_key(rule.name, rule.limit_type, rule.limit, key=rule.key)


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() else None
