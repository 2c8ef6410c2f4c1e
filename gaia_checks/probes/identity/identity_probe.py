"""Who is counted as whom: keys, users, sessions and addresses; and whether every accepted rule is in force.

Each request's own headers report the rules that applied and what they have left, so a few requests show who shares a
budget with whom.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import httpx

from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.identity.claims import claims
from gaia_checks.probes.identity.own_rules import (
    HEADERS,
    OTHER,
    SPACING_S,
    Standings,
    TemporaryRule,
    TemporaryRules,
    standings,
)
from gaia_checks.target.client import client
from gaia_checks.target.responses import QUOTAS
from gaia_checks.target.samples import Score, Watch

_SETTLE_S = 1.0  # after this time a new or changed rule is in force on all server processes
_TYPES = (
    "requests_per_second", "requests_per_minute", "requests_per_hour", "daily_quota", "weekly_quota", "monthly_quota",
)  # fmt: skip
_RESOURCES = ("config", "usage", "violations", "analytics", "users", "reputation", "reputation-events", "alerts")
_LIMIT = 1000
_NEVER = 1_000_000_000
_RAISED = 10  # from half of it
_PROCESSES = 3  # connections on which a change is observed: another one may reach another process

Sample = str | None  # the fault; None for a good sample


def probe(target: Target) -> list[Measurement]:
    """Measure `identity.rules_in_force`, `.budgets`, `.changes_in_force`, `.claims_refused` and `.defaults_in_force`.

    Raises TargetUnreachable when the target does not answer, Inconclusive when it takes no rules of a scope.
    """
    try:
        with (
            client(target) as manager,
            client(target, keyed=False) as admin,
            client(replace(target, admin_token=None), keyed=False) as nobody,
        ):
            own = TemporaryRules(manager, target)
            try:
                return _measured(target, own, admin, nobody)
            finally:
                own.remove()
    except httpx.TransportError as error:
        why = str(error) or type(error).__name__
        raise TargetUnreachable(f"{target.base_url}: no answer ({why}); is it running?") from error


def _measured(target: Target, own: TemporaryRules, admin: httpx.Client, nobody: httpx.Client) -> list[Measurement]:
    watch, in_force, budgets, changes = Watch(), Score(), Score(), Score()
    look = _Look(target, own, admin)
    time.sleep(_SETTLE_S)
    for tally, samples in ((in_force, look.in_force()), (budgets, look.budgets()), (changes, look.changes())):
        for sample in samples:
            tally.add(sample)
    how = "rules of every scope and limit type that the server accepted, in the headers of the requests they count"
    return [
        watch.counted("identity.rules_in_force", in_force, how),
        watch.counted("identity.budgets", budgets, "requests of names that must share a budget, or must not"),
        watch.counted(
            "identity.changes_in_force", changes, "rules that were changed, disabled or deleted a second ago"
        ),
        *claims(watch, target, own, nobody),
    ]


class _Look:
    """The rules of one look, and the requests that show who they count."""

    def __init__(self, target: Target, own: TemporaryRules, admin: httpx.Client) -> None:
        self._target, self._own, self._admin = target, own, admin
        self._of_type = {
            scope: [own.create(f"{scope}-{kind}", scope, own.whom(scope), _LIMIT, kind) for kind in _TYPES]
            for scope in HEADERS
        }
        self._once, self._disabled, self._deleted, self._raised = (
            [own.create(f"{scope}-{what}", scope, own.whom(f"{scope}-{what}"), limit) for scope in HEADERS]
            for what, limit in (("once", 1), ("disabled", 0), ("deleted", 0), ("raised", _RAISED // 2))
        )
        self._everybody = {
            scope: own.create(f"{scope}-everybody", scope, None, _NEVER, resource_type="other") for scope in HEADERS
        }
        near = [name for pair in self._pairs("api_key") for name in pair]
        for number, name in enumerate(near):
            own.create(f"near-{number}", "api_key", name, _LIMIT)
        self._resources = [
            own.create(f"on-{resource}", "api_key", own.whom("resources"), _LIMIT, resource_type=resource)
            for resource in (*_RESOURCES, "login", "other")
        ]

    def in_force(self) -> Iterator[Sample]:
        """Yield one sample for each accepted rule: it counts and refuses, beside the global rules."""
        for scope, each in self._of_type.items():
            found = self._own.ask(self._admin, scope, self._own.whom(scope))
            for rule in each:
                yield _not_in_force(rule, found) or _wrong_rest(rule, found)
            missing = [name for name in self._rules_of("global") if name not in found.limits]
            wrong = (
                f"the global rule {missing[0]} does not apply to a request with {HEADERS[scope]}" if missing else None
            )
            yield wrong
        for rule in self._once:
            first, second = self._ask(rule), self._ask(rule)
            right = (first.status, second.status) == (404, 429)
            wrong = f"{rule.name} admits 1 request: two were answered {first.status} and {second.status}"
            yield _not_in_force(rule, first) or (None if right else wrong)

    def budgets(self) -> Iterator[Sample]:
        """Yield one sample for each pair that must share a budget, or must not."""
        for scope, rule in self._everybody.items():
            yield from self._separate(scope, rule)
            yield self._same(scope, rule)
            yield from self._not_counted_as(scope)
        yield from self._precedence()
        yield from self._by_resource()

    def changes(self) -> Iterator[Sample]:
        """Disable, delete and raise rules; yield one sample for each, on several connections."""
        for rule in (*self._disabled, *self._deleted):
            found = self._ask(rule)
            wrong = f"{rule.name} admits nothing: status {found.status} instead of 429"
            yield _not_in_force(rule, found) or (None if found.status == 429 else wrong)
        for rule in self._raised:
            self._ask(rule)
            self._own.change(rule, limit_value=_RAISED)
        for rule in self._disabled:
            self._own.change(rule, enabled=False)
        for rule in self._deleted:
            self._own.delete(rule)
        time.sleep(_SETTLE_S)
        addresses = set(self._rules_of("ip"))
        for number in range(_PROCESSES):
            with client(self._target, keyed=False) as http:
                yield from (self._still(http, rule, "disabled", addresses) for rule in self._disabled)
                yield from (self._still(http, rule, "deleted", addresses) for rule in self._deleted)
                yield from (self._not_raised(http, rule, number + 2) for rule in self._raised)

    def _ask(self, rule: TemporaryRule, http: httpx.Client | None = None) -> Standings:
        return self._own.ask(http or self._admin, rule.body["scope"], rule.value)

    def _still(self, http: httpx.Client, rule: TemporaryRule, what: str, addresses: set[str]) -> Sample:
        """Return the fault where a rule still applies, or where a key without a rule escapes those of its address."""
        found = self._ask(rule, http)
        if rule.name in found.limits:
            return f"{rule.name} was {what}, and still applies: status {found.status}"
        if rule.body["scope"] != "api_key":
            return None
        time.sleep(SPACING_S)  # it is counted by the gate's address, which may have other users
        if addresses and not addresses & found.limits.keys():
            return f"the key of {rule.name}, which was {what}, escapes its address's rules: {found.named} applied"
        return None

    def _not_raised(self, http: httpx.Client, rule: TemporaryRule, sent: int) -> Sample:
        found = self._ask(rule, http)
        reported = found.limits.get(rule.name), found.remaining.get(rule.name)
        if reported == (_RAISED, _RAISED - sent):
            return None
        return f"{rule.name} was raised to {_RAISED} a second ago: after {sent} requests, q and r are {reported}"

    def _rules_of(self, scope: str) -> list[str]:
        """Return the names of the enabled rules for all of a scope."""
        return [name for name, rule in self._own.applying_to_all().items() if rule["scope"] == scope]

    def _pairs(self, scope: str) -> list[tuple[str, str]]:
        """Return names that differ in one character only."""
        base = self._own.whom(f"{scope}-near")
        pairs = [(f"{base}-a", f"{base}-A"), (f"{base}_", f"{base}."), (f"{base}%41", f"{base}A")]
        return [*pairs, *((f"{base:x<{length}}1", f"{base:x<{length}}2") for length in (64, 128, 199))]

    def _separate(self, scope: str, rule: TemporaryRule) -> Iterator[Sample]:
        for one, other in self._pairs(scope):
            left = [self._own.ask(self._admin, scope, name).remaining.get(rule.name) for name in (one, one, other)]
            wrong = f"{scope} {one!r} and {other!r} must not share a budget: two requests of one and one of the other"
            yield None if left == [_NEVER - 1, _NEVER - 2, _NEVER - 1] else f"{wrong} left {left} of {_NEVER}"

    def _same(self, scope: str, rule: TemporaryRule) -> Sample:
        """Return the fault unless one name has one budget, however it is sent."""
        name = self._own.whom(scope)
        left = []
        for method, path in (("GET", OTHER), ("HEAD", OTHER), ("POST", OTHER), ("GET", f"{OTHER}?x=1")):
            with client(self._target, keyed=False) as http:
                left.append(self._own.ask(http, scope, name, method, path).remaining.get(rule.name, -1))
        if {first - then for first, then in pairwise(left)} == {1}:
            return None
        return f"{scope} {name} must have one budget: GET, HEAD, POST and GET with a query left {left}"

    def _not_counted_as(self, scope: str) -> Iterator[Sample]:
        name = self._own.whom(scope)
        ours = {rule.name for rule in self._of_type[scope]}
        for other in (name.upper(), name[:-1], f"{name}x", f"{name} x", f"{scope}:{name}", f"{name}\u00e9"):
            found = self._own.ask(self._admin, scope, other.encode())
            time.sleep(SPACING_S if scope == "api_key" else 0)  # it is counted by the gate's address
            yield f"{scope} {other!r} is counted as {name!r}" if ours & found.limits.keys() else None

    def _precedence(self) -> Iterator[Sample]:
        """Yield whether a request has one principal: a named key, else the user, else the session."""
        whole = {HEADERS[scope]: self._own.whom(scope) for scope in HEADERS}
        invented = {"X-API-Key": self._own.whom("invented")}
        session = {**invented, HEADERS["session"]: whole[HEADERS["session"]]}
        for scope, headers in (("api_key", whole), ("user", {**whole, **invented}), ("session", session)):
            found = standings(self._admin.get(OTHER, headers=headers))
            counted = [each for each, of in self._of_type.items() if {rule.name for rule in of} & found.limits.keys()]
            yield None if counted == [scope] else f"{' + '.join(headers)} counts as {counted}, should be {[scope]}"

    def _by_resource(self) -> Iterator[Sample]:
        for rule in self._resources:
            resource = rule.body["resource_type"]
            path = OTHER if resource == "other" else f"{QUOTAS}/{resource}"
            found = self._logged_in(rule) if resource == "login" else self._own.ask(
                self._admin, "api_key", rule.value, path=path
            )  # fmt: skip
            counted = sorted({each.name for each in self._resources} & found.limits.keys())
            wrong = f"{resource}: rules of other resources apply: {', '.join(counted)}"
            yield _not_in_force(rule, found) or (None if counted == [rule.name] else wrong)

    def _logged_in(self, rule: TemporaryRule) -> Standings:
        headers, body = {HEADERS["api_key"]: rule.value}, {"token": self._target.admin_token}
        found = standings(self._admin.post("/admin/login", json=body, headers=headers))
        self._admin.cookies.clear()
        return found


def _not_in_force(rule: TemporaryRule, found: Standings) -> Sample:
    """Return the fault unless an answer names the rule with its limit."""
    if found.limits.get(rule.name) == rule.limit:
        return None
    return f"the rule {rule.name} was accepted (201, enabled) and is not in force: only {found.named} counts"


def _wrong_rest(rule: TemporaryRule, found: Standings) -> Sample:
    left = found.remaining.get(rule.name)
    return None if left == rule.limit - 1 else f"{rule.name} has r={left} after its first request of {rule.limit}"
