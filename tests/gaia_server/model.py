"""A reference model of the limiter: keep every admission for ever and count. Pure.

A request is decided at a given time. A key's time never runs backwards: when the clock does, the key stays at
its newest admission.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gaia_server.limiting.limit_types import LIMIT_TYPES, limit_type
from gaia_server.limiting.principals import Principal

WINDOWS = {
    name: timedelta(seconds=known.seconds)
    for name in LIMIT_TYPES
    if (known := limit_type(name)).period is None and known.seconds
}


@dataclass
class Rule:
    """The fields of a rule that matter for decisions."""

    id: int
    scope: str
    value: str | None
    kind: str
    limit: int
    resource: str | None = None
    enabled: bool = True

    def applies(self, principal: Principal, resource: str) -> bool:
        """Whether the rule applies to such a request."""
        fits = self.scope == "global" or (self.scope == principal.scope and self.value in (None, principal.value))
        return self.enabled and fits and self.resource in (None, resource)


@dataclass(frozen=True)
class Expected:
    """The expected standing of one rule after a request."""

    rule_id: int
    admitted: bool
    remaining: int
    reset_us: int


@dataclass
class Limiter:
    """All rules and all admissions."""

    rules: dict[int, Rule] = field(default_factory=dict)
    admissions: dict[tuple[int, str], list[datetime]] = field(default_factory=dict)

    def decide(self, principal: Principal, resource: str, at: datetime) -> list[Expected]:
        """Decide one request and count it."""
        rules = [rule for rule in self.rules.values() if rule.applies(principal, resource)]
        inside = {rule.id: self._inside(rule, principal, at) for rule in rules}
        fits = {rule.id: len(inside[rule.id]) < rule.limit for rule in rules}
        if all(fits.values()):
            for rule in rules:
                now = self._now(rule, principal, at)
                inside[rule.id].append(now)
                self.admissions.setdefault(_counter(rule, principal), []).append(now)
        return [
            Expected(
                rule.id,
                fits[rule.id],
                max(rule.limit - len(inside[rule.id]), 0),
                round(
                    (self._reset(rule, principal, inside[rule.id], fits[rule.id], at) - at) / timedelta(microseconds=1)
                ),
            )
            for rule in rules
        ]

    def forget(self, rule_id: int) -> None:
        """Delete a rule's admissions."""
        self.admissions = {counter: times for counter, times in self.admissions.items() if counter[0] != rule_id}

    def _now(self, rule: Rule, principal: Principal, at: datetime) -> datetime:
        times = self.admissions.get(_counter(rule, principal), [])
        return max(at, times[-1]) if times else at

    def _inside(self, rule: Rule, principal: Principal, at: datetime) -> list[datetime]:
        now, times = self._now(rule, principal, at), self.admissions.get(_counter(rule, principal), [])
        if rule.kind in WINDOWS:
            return [moment for moment in times if moment > now - WINDOWS[rule.kind]]
        start, _ = period(rule.kind, now)
        return [moment for moment in times if moment >= start]

    def _reset(
        self, rule: Rule, principal: Principal, inside: Sequence[datetime], fits: bool, at: datetime
    ) -> datetime:
        now = self._now(rule, principal, at)
        if rule.kind not in WINDOWS:
            return period(rule.kind, now)[1]
        if fits:
            return (inside[0] if inside else now) + WINDOWS[rule.kind]
        return (inside[-rule.limit] if rule.limit else now) + WINDOWS[rule.kind]


def period(kind: str, moment: datetime) -> tuple[datetime, datetime]:
    """Return the start and the end of the calendar period (UTC, weeks from Monday) that contains a moment."""
    midnight = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "daily_quota":
        return midnight, midnight + timedelta(days=1)
    if kind == "weekly_quota":
        monday = midnight - timedelta(days=midnight.weekday())
        return monday, monday + timedelta(days=7)
    first = midnight.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


def _counter(rule: Rule, principal: Principal) -> tuple[int, str]:
    return rule.id, "global" if rule.scope == "global" else principal.key
