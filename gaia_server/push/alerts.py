"""Alerts: threshold rules, each of which fires once and resolves once. Pure."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from gaia_server.encoding import timestamp


@dataclass(frozen=True, slots=True)
class AlertRule:
    """A rule that fires while a number is above its threshold."""

    name: str
    says: str
    threshold: int
    window_s: int
    severity: str

    def to_json(self, value: int) -> dict[str, Any]:
        """Return a JSON object: the rule and its current value."""
        return {**asdict(self), "value": value}


VIOLATIONS_RULE = AlertRule(
    name="violations_per_minute",
    says="more than 100 requests were refused within a minute",
    threshold=100,
    window_s=60,
    severity="warning",
)


@dataclass(frozen=True, slots=True)
class Episode:
    """One alert, from firing to resolving."""

    id: int
    name: str
    severity: str
    says: str
    threshold: int
    value: int  # when it fired
    fired_at: datetime
    resolved_value: int | None = None
    resolved_at: datetime | None = None

    @property
    def state(self) -> str:
        """`firing` or `resolved`."""
        return "resolved" if self.resolved_at else "firing"

    def to_json(self) -> dict[str, Any]:
        """Return the data of an `alert` message: the current state, and since when."""
        return {
            "name": self.name,
            "state": self.state,
            "severity": self.severity,
            "says": self.says,
            "value": self.value if self.resolved_value is None else self.resolved_value,
            "threshold": self.threshold,
            "since": timestamp(self.fired_at),
            "at": timestamp(self.resolved_at or self.fired_at),
        }


@dataclass(slots=True)
class AlertWatch:
    """One server process's view of a rule's alert: it reports each change once, whichever process made it."""

    rule: AlertRule = VIOLATIONS_RULE
    newest: Episode | None = None

    @property
    def firing(self) -> Episode | None:
        """The alert if it is firing, else None."""
        return self.newest if self.newest and self.newest.state == "firing" else None

    def update(self, newest: Episode | None) -> Episode | None:
        """Set the newest stored episode; return it if it is a change.

        An episode that was resolved before the first update is not a change.
        """
        known, self.newest = self.newest, newest
        if newest is None or (known and (known.id, known.state) == (newest.id, newest.state)):
            return None
        return newest if known or newest.state == "firing" else None
