"""Alerts: rules over what the server sees, each firing once and resolving once. Pure."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from gaia_server.encoding import timestamp


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Fires while a number is above its threshold."""

    name: str
    says: str
    threshold: int
    window_s: int
    severity: str

    def to_json(self, value: int) -> dict[str, Any]:
        """Return a JSON object: the rule, and what it sees now."""
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
        """Firing or resolved."""
        return "resolved" if self.resolved_at else "firing"

    def to_json(self) -> dict[str, Any]:
        """Return the data of an `alert` message: the state that it is in now, and since when."""
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
class Watch:
    """What one server process knows of a rule's alert: it tells each change once, whoever made it."""

    rule: AlertRule = VIOLATIONS_RULE
    newest: Episode | None = None

    @property
    def firing(self) -> Episode | None:
        """The alert if it fires."""
        return self.newest if self.newest and self.newest.state == "firing" else None

    def see(self, newest: Episode | None) -> Episode | None:
        """Take the newest episode that is stored; return it if that is news.

        One that was over before this process looked for the first time is none.
        """
        known, self.newest = self.newest, newest
        if newest is None or (known and (known.id, known.state) == (newest.id, newest.state)):
            return None
        return newest if known or newest.state == "firing" else None
