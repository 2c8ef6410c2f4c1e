"""The messages of one WebSocket client of the soak, and their times. Pure: times are arguments, in s of one clock."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from gaia_checks.target.ws_messages import Stream

REGULAR = ("stats", "heartbeat")

ALERT = "violations_per_minute"
"""The alert of the contract: where the server watches it, no other one is about the gate's requests."""


@dataclass(slots=True)
class Silence:
    """The longest time without a message of one kind."""

    since_s: float
    longest_s: float = 0.0

    def received(self, now_s: float) -> None:
        """Take a message of that kind now."""
        self.longest_s = self.upto(now_s)
        self.since_s = now_s

    def upto(self, now_s: float) -> float:
        """Return the longest silence, including the current one."""
        return max(self.longest_s, now_s - self.since_s)


@dataclass
class Listener:
    """One client, from its handshake on."""

    connected_s: float
    violated: tuple[str, ...]  # the keys whose violations it waits for
    dropped: str | None = None  # why the connection closed before the client left
    closed_s: float | None = None
    violations_s: dict[str, float] = field(default_factory=dict)  # key -> when it first received its violation
    alerts_s: list[float] = field(default_factory=list)  # when the alert started to fire
    firing: bool = False  # the alert fires now, by the messages received
    watched: frozenset[str] = frozenset()  # the names of the alerts that the server watches
    stream: Stream = field(default_factory=Stream)
    silences: dict[str, Silence] = field(init=False)

    def __post_init__(self) -> None:
        self.silences = {kind: Silence(self.connected_s) for kind in REGULAR}

    def take(self, frame: str | bytes, now_s: float) -> None:
        """Take one message received now."""
        kind = self.stream.take(frame)
        if kind in self.silences:
            self.silences[kind].received(now_s)
        if kind == "violation":
            for key in self.violated:
                if key in str(frame):
                    self.violations_s.setdefault(key, now_s)
        if kind == "alert" and self._concerns(alert := _data(frame)):
            self.firing = alert.get("state") != "resolved"
            if self.firing:
                self.alerts_s.append(now_s)
        if kind == "stats" and "alerts" in _data(frame):
            firing, watched = _alerts(frame)
            self.watched = frozenset(str(rule.get("name")) for rule in watched)
            self.firing = any(self._concerns(alert) for alert in firing)

    def _concerns(self, alert: dict[str, Any]) -> bool:
        return ALERT not in self.watched or alert.get("name") == ALERT

    @property
    def violation_s(self) -> float | None:
        """When it had received all those violations; None before."""
        return max(self.violations_s.values()) if len(self.violations_s) == len(self.violated) else None

    def drop(self, why: str, now_s: float) -> None:
        """Record that the server closed the connection now."""
        self.dropped, self.closed_s = f"after {now_s - self.connected_s:.1f} s: {why}", now_s

    def longest_s(self, kind: str, now_s: float) -> float:
        """Return the longest time without `kind`: before the first, between two, or since the last."""
        return self.silences[kind].upto(now_s if self.closed_s is None else self.closed_s)


def longest_s(listeners: Collection[Listener], kind: str, now_s: float) -> float:
    """Return the longest time without `kind` of all clients; 0 without clients."""
    return max((listener.longest_s(kind, now_s) for listener in listeners), default=0.0)


def drops(listeners: Collection[Listener]) -> list[str]:
    """Return why each dropped client was dropped."""
    return [listener.dropped for listener in listeners if listener.dropped is not None]


def wrong(listeners: Collection[Listener]) -> list[str]:
    """Return the faults of messages: their shape, or a gap in their numbers."""
    return [note for listener in listeners for note in listener.stream.wrong]


def needless_alert(frame: str | bytes) -> str | None:
    """Return which alert fires in stats by whose value it should not; None without one, or if they do not say."""
    firing, watched = _alerts(frame)
    names = {alert.get("name") for alert in firing}
    for rule in watched:
        value, threshold = rule.get("value"), rule.get("clear_threshold", rule.get("threshold"))
        if not isinstance(value, int | float) or not isinstance(threshold, int | float):
            continue
        if rule.get("name") in names and value <= threshold:
            return f"stats list {rule['name']} as firing with a value of {value:g}, not above {threshold:g}"
    return None


def _alerts(frame: str | bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the firing and the watched alerts of stats."""
    alerts = _data(frame).get("alerts")
    lists = [alerts.get(name) for name in ("firing", "watched")] if isinstance(alerts, dict) else [[], []]
    firing, watched = ([each for each in one or [] if isinstance(each, dict)] for one in lists)
    return firing, watched


def _data(frame: str | bytes) -> dict[str, Any]:
    """Return the data of a message; empty for a wrong shape."""
    try:
        message = json.loads(frame)
    except ValueError:
        return {}
    data = message.get("data") if isinstance(message, dict) else None
    return data if isinstance(data, dict) else {}
