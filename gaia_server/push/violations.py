"""Violations to push to WebSocket clients: summed until the next push, a bounded number of them. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gaia_server.encoding import timestamp
from gaia_server.limiting.decision import Standing

MAX_PENDING = 15
"""The number of distinct violations in one push: every client's outbox holds several pushes."""


@dataclass(slots=True)
class Violation:
    """One key's refusals by one rule, within one second, since the last push."""

    standing: Standing
    resource_type: str
    at: datetime
    hits: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the data of a `violation` message."""
        standing = self.standing
        return {
            "rule_id": standing.rule_id,
            "rule_name": standing.rule_name,
            "scope": standing.scope,
            "key": standing.key,
            "limit_type": standing.limit_type,
            "limit_value": standing.limit_value,
            "resource_type": self.resource_type,
            "occurred_at": timestamp(self.at),
            "hits": self.hits,
        }


@dataclass(slots=True)
class Pending:
    """Violations since the last push."""

    violations: dict[tuple[int, str, datetime], Violation] = field(default_factory=dict)
    counters: set[tuple[int, str]] = field(default_factory=set)

    def add(self, standing: Standing, resource_type: str) -> None:
        """Count one refusal; keys beyond MAX_PENDING appear in the list of violations only."""
        counter = (standing.rule_id, standing.key)
        second = (*counter, standing.checked_at.replace(microsecond=0))  # as the database stores them
        found = self.violations.get(second)
        if found is None:
            if counter not in self.counters and len(self.counters) >= MAX_PENDING:
                return
            self.counters.add(counter)
            found = self.violations[second] = Violation(standing, resource_type, standing.checked_at)
        found.hits += 1

    def take(self) -> list[dict[str, Any]]:
        """Return the pending violations and clear them."""
        taken = [violation.to_json() for violation in self.violations.values()]
        self.violations.clear()
        self.counters.clear()
        return taken
