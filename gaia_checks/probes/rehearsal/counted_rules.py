"""Rules of this run's own, requests that they count, and what the server says it has counted.

Each rule has a key to itself, so what a look sends under it is all that can be counted there.
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
from gaia_checks.target.responses import CONFIG

USAGE = "/api/admin/quotas/usage"

_AT_ONCE = 8
_SETTLE_S = 1.0
_PATIENCE_S = 10.0
_REMAINING = re.compile(r'"([^"]+)"\s*;[^,]*?\br=(\d+)')


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of ours, for a key of its own."""

    id: int
    name: str
    key: str
    limit_type: str
    limit: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What one counted request was told."""

    status: int
    remaining: Mapping[str, int] = field(default_factory=dict)  # rule -> r of the header RateLimit
    tightest: int | None = None  # X-RateLimit-Remaining
    retry_after_s: int | None = None

    @property
    def refused_by(self) -> list[str]:
        """The rules that have nothing left, of a refusal."""
        return [name for name, left in self.remaining.items() if left == 0] if self.status == 429 else []


@dataclass(frozen=True, slots=True)
class Usage:
    """What the list of usage says of one rule's key; that nothing is used, when it is not listed."""

    status: int
    used: int | None
    remaining: int | None


class Counting:
    """Makes rules, sends requests that they count, and asks what was counted."""

    def __init__(self, http: httpx.Client, target: Target) -> None:
        self._http = http
        self._target = target
        self._made: list[int] = []

    def rule(self, purpose: str, limit_type: str, limit: int) -> Rule:
        """Make a rule for a key of its own. Raises TargetUnreachable when the server does not take it."""
        name = f"{key(self._target)}-{purpose}"
        return self._create(Rule(0, name, name, limit_type, limit))

    def known(self) -> None:
        """Let the server know this run's own key, so that no default rule counts what we ask about rules and usage."""
        self._create(Rule(0, key(self._target), key(self._target), "requests_per_second", 1000))

    def limited(self, rule: Rule, limit: int) -> Rule:
        """Give a rule another limit, which keeps what was counted."""
        changed = replace(rule, limit=limit)
        self._expect(200, "PUT", f"{CONFIG}/{rule.id}", json=_body(changed))
        return changed

    def settle(self) -> None:
        """Wait until what was made or changed is in force on all of the server's processes."""
        time.sleep(_SETTLE_S)

    def send(self, rule: Rule, number: int) -> list[Reply]:
        """Send so many requests under the rule's key, several at once.

        Raises TargetUnreachable when one is not answered, as nobody knows then whether it counts, and Inconclusive
        when a rule that is not ours refuses one.
        """
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            replies = list(pool.map(lambda _: self._count(rule), range(number)))
        for reply in replies:
            if reply.refused_by and rule.name not in reply.refused_by:
                raise Inconclusive(
                    f"the rule {reply.refused_by[0]} refuses what this gate sends, so it is not known what should be "
                    "counted; disable the rule while the gate runs, or raise its limit"
                )
        return replies

    def usage(self, rule: Rule) -> Usage:
        """Return what the list of usage says of the rule's key."""
        answer = self._asked("GET", USAGE, params={"key": f"api_key:{rule.key}"})
        body = answer.json() if answer.status_code == 200 else {}
        ours = [item for item in body.get("items", ()) if item.get("rule_id") == rule.id]
        if not ours:
            return Usage(answer.status_code, 0, rule.limit)
        return Usage(answer.status_code, ours[0].get("used"), ours[0].get("remaining"))

    def lost(self, rule: Rule) -> str | None:
        """Say what of the rule the server no longer has as it was made, None when all is there."""
        answer = self._asked("GET", f"{CONFIG}/{rule.id}")
        if answer.status_code != 200:
            return f"GET {CONFIG}/{rule.id} answers {answer.status_code}: the rule {rule.name} is lost"
        body, wanted = answer.json(), _body(rule)
        lost = [name for name, value in wanted.items() if body.get(name) != value]
        return f"{lost[0]} of {rule.name} is {body.get(lost[0])!r} instead of {wanted[lost[0]]!r}" if lost else None

    def remove(self) -> None:
        """Delete every rule made here. What cannot be deleted now is by the gate, which knows it by its name."""
        with contextlib.suppress(Inconclusive):
            while self._made:
                self._asked("DELETE", f"{CONFIG}/{self._made[-1]}")
                self._made.pop()

    def _create(self, rule: Rule) -> Rule:
        created = replace(rule, id=int(self._expect(201, "POST", CONFIG, json=_body(rule)).json()["id"]))
        self._made.append(created.id)
        return created

    def _count(self, rule: Rule) -> Reply:
        answer = self._sent("GET", CONFIG, params={"limit": 1}, headers={"X-API-Key": rule.key})
        return Reply(
            answer.status_code,
            {name: int(left) for name, left in _REMAINING.findall(answer.headers.get("RateLimit", ""))},
            _whole(answer.headers.get("X-RateLimit-Remaining")),
            _whole(answer.headers.get("Retry-After")),
        )

    def _expect(self, status: int, method: str, path: str, **arguments: Any) -> httpx.Response:
        answer = self._asked(method, path, **arguments)
        if answer.status_code != status:
            raise TargetUnreachable(
                f"{self._target.base_url}: {method} {path} answered {answer.status_code} instead of {status}: "
                f"{answer.text[:200]}"
            )
        return answer

    def _asked(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Send a request, again while the server says "later": its limits hold for us as for anybody."""
        deadline_s = time.monotonic() + _PATIENCE_S
        while (answer := self._sent(method, path, **arguments)).status_code == 429:
            wait_s = rules.later_s(answer)
            if time.monotonic() + wait_s > deadline_s:
                raise Inconclusive(f"{method} {path} is refused for {_PATIENCE_S:.0f} s and more: {answer.text[:200]}")
            time.sleep(wait_s)
        return answer

    def _sent(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            said = str(error) or type(error).__name__
            raise TargetUnreachable(
                f"{self._target.base_url}: no answer to {method} {path} ({said}); is it running?"
            ) from error


@contextmanager
def counting(target: Target) -> Iterator[Counting]:
    """Give a way of counting in `target`; its rules are removed afterwards."""
    with client(target) as http:
        found = Counting(http, target)
        try:
            yield found
        finally:
            found.remove()


def wrong_split(rule: Rule, replies: Sequence[Reply], *, admitted: int) -> str | None:
    """Say so when not exactly `admitted` of the requests were let through and all others refused."""
    expected = +Counter({200: admitted, 429: len(replies) - admitted})
    found = Counter(reply.status for reply in replies)
    if found == expected:
        return None
    return f"{rule.limit_type}: of {len(replies)} requests {_told(found)}, should be {_told(expected)}"


def wrong_usage(rule: Rule, found: Usage, *, used: int) -> str | None:
    """Say so when the list of usage does not tell what was admitted and what is left of the limit."""
    if found.status != 200:
        return f"{rule.limit_type}: GET {USAGE} answers {found.status}"
    left = rule.limit - used
    if (found.used, found.remaining) == (used, left):
        return None
    told = f"{found.used} used and {found.remaining} left"
    return f"{rule.limit_type}: GET {USAGE} tells {told}, should be {used} used and {left} left"


def wrong_headers(rule: Rule, reply: Reply, *, left: int) -> str | None:
    """Say so when the headers of a reply do not tell that so much of the rule is left."""
    told = reply.remaining.get(rule.name)
    if told != left:
        return f"{rule.limit_type}: RateLimit tells r={told} of the rule, should be {left}"
    if reply.tightest != min(reply.remaining.values()):
        return f"{rule.limit_type}: X-RateLimit-Remaining is {reply.tightest}, RateLimit tells {dict(reply.remaining)}"
    return None


def _told(statuses: Counter[int]) -> str:
    return ", ".join(f"{number} were answered {status}" for status, number in sorted(statuses.items()))


def _body(rule: Rule) -> dict[str, Any]:
    return rules.for_one_key(rule.name, rule.limit_type, rule.limit, key=rule.key)


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() else None
