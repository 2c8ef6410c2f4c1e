"""Violations to push to WebSocket clients: summed until the next push, a bounded number of them. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gaia_server.encoding import encode, timestamp
from gaia_server.limiting.decision import Standing

MAX_PENDING = 15
"""The number of distinct violations in one push: usually they fit into one database notification."""

NOTIFICATION = 8000
"""A database notification must be shorter than this, in bytes."""


@dataclass(slots=True)
class Violation:
    """One key's refusals by one rule since the last push."""

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

    violations: dict[tuple[int, str], Violation] = field(default_factory=dict)

    def add(self, standing: Standing, resource_type: str) -> None:
        """Count one refusal; keys beyond MAX_PENDING appear in the list of violations only."""
        counter = (standing.rule_id, standing.key)
        found = self.violations.get(counter)
        if found is None:
            if len(self.violations) >= MAX_PENDING:
                return
            found = self.violations[counter] = Violation(standing, resource_type, standing.checked_at)
        found.hits += 1

    def take(self) -> list[dict[str, Any]]:
        """Return the pending violations and clear them."""
        taken = [violation.to_json() for violation in self.violations.values()]
        self.violations.clear()
        return taken


def notifications(instance: str, violations: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the notifications for the other processes: one, or more if names full of quotes make it too long."""
    payload = encode({"from": instance, "violations": violations})
    if len(payload) < NOTIFICATION or len(violations) == 1:  # JSON in ASCII: a character is a byte
        yield payload
        return
    half = len(violations) // 2
    yield from notifications(instance, violations[:half])
    yield from notifications(instance, violations[half:])
