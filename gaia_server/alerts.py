"""Alerts: rules over what the server sees, each firing once and resolving once. Pure: the clock is an argument."""

from collections import deque
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from gaia_server.problem import timestamp

KEPT = 50
"""How many past alerts are remembered."""


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Fires while a number is above its threshold."""

    name: str
    says: str
    threshold: int
    window_s: int
    severity: str


VIOLATIONS_RULE = AlertRule(
    name="violations_per_minute",
    says="more than 100 requests were refused within a minute",
    threshold=100,
    window_s=60,
    severity="warning",
)


@dataclass(frozen=True, slots=True)
class Alert:
    """One change of an alert rule's state."""

    name: str
    state: str  # firing, resolved
    severity: str
    says: str
    value: int
    threshold: int
    since: str  # RFC 3339 UTC: when it began to fire
    at: str  # RFC 3339 UTC: when this state began

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)


@dataclass(slots=True)
class Watch:
    """One rule's state over time."""

    rule: AlertRule = VIOLATIONS_RULE
    firing: Alert | None = None
    past: deque[Alert] = field(default_factory=lambda: deque(maxlen=KEPT))  # newest first

    def see(self, value: int, now: datetime) -> Alert | None:
        """Take the newest value; return the alert if the state changed."""
        if (value > self.rule.threshold) == (self.firing is not None):
            return None
        alert = self._alert("resolved" if self.firing else "firing", value, timestamp(now))
        self.firing = alert if alert.state == "firing" else None
        self.past.appendleft(alert)
        return alert

    def _alert(self, state: str, value: int, at: str) -> Alert:
        rule = self.rule
        since = self.firing.since if self.firing else at
        return Alert(rule.name, state, rule.severity, rule.says, value, rule.threshold, since, at)
