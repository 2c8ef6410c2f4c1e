"""Violations on their way to whoever watches: summed until the next push, never more than a bounded number. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gaia_server.encoding import encode, timestamp
from gaia_server.limiting.decision import Standing

MAX_PENDING = 15
"""How many violations one push tells apart: as a rule they fit into one notification of the database."""

NOTIFICATION = 8000
"""Bytes that a notification of the database must stay below."""


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
    """What is to be pushed next."""

    violations: dict[tuple[int, str], Violation] = field(default_factory=dict)

    def add(self, standing: Standing, resource_type: str) -> None:
        """Count one refusal; one more key than MAX_PENDING is told by the list of violations only."""
        place = (standing.rule_id, standing.key)
        found = self.violations.get(place)
        if found is None:
            if len(self.violations) >= MAX_PENDING:
                return
            found = self.violations[place] = Violation(standing, resource_type, standing.checked_at)
        found.hits += 1

    def take(self) -> list[dict[str, Any]]:
        """Return what was pending, and begin anew."""
        taken = [violation.to_json() for violation in self.violations.values()]
        self.violations.clear()
        return taken


def notifications(instance: str, violations: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what tells the other processes: one notification, more if names full of quotes make it too long."""
    payload = encode({"from": instance, "violations": violations})
    if len(payload) < NOTIFICATION or len(violations) == 1:  # JSON in ASCII: a character is a byte
        yield payload
        return
    half = len(violations) // 2
    yield from notifications(instance, violations[:half])
    yield from notifications(instance, violations[half:])
