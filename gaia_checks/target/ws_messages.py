"""Checks messages of the live WebSocket. Pure; the probe and the soak recorder use it."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

PATH = "/ws/admin/quotas"
_FIELDS = {
    "stats": (
        *("requests_per_second", "requests", "violations_last_minute", "rules", "websocket_clients", "database"),
        *("memory_bytes", "uptime_s", "rate_limiting", "version", "instance", "alerts"),
    ),
    "heartbeat": ("uptime_s",),
}
"""What the data of a regular message must have (docs/contract.md)."""

TYPES = frozenset({"stats", "heartbeat", "violation", "alert"})


@dataclass
class Stream:
    """The messages of one connection, in the order of arrival."""

    last_seq: int = 0  # the first message is number 1
    count: int = 0
    wrong: list[str] = field(default_factory=list)

    def take(self, frame: str | bytes) -> str | None:
        """Check one frame and return its type, None for an unknown type; `wrong` lists the faults."""
        self.count += 1
        message = _parse(frame)
        wrong = _wrong_shape(message) or self._wrong_seq(message["seq"])
        if wrong:
            self.wrong.append(f"message {self.count}: {wrong}")
        kind = message.get("type")
        return kind if isinstance(kind, str) and kind in TYPES else None

    def _wrong_seq(self, seq: int) -> str | None:
        expected = self.last_seq + 1
        self.last_seq = seq
        return None if seq == expected else f"seq {seq} instead of {expected}"


def incomplete(frame: str | bytes) -> str | None:
    """Return what the data of stats or of a heartbeat lacks; None for a complete message, and for any other."""
    message = _parse(frame)
    kind, data = message.get("type"), message.get("data")
    if kind not in _FIELDS or not isinstance(data, dict):
        return None
    if missing := [name for name in _FIELDS[kind] if name not in data]:
        return f"{kind} without {', '.join(missing)}"
    alerts = data.get("alerts") if kind == "stats" else {"firing": [], "watched": []}
    lists = isinstance(alerts, dict) and all(isinstance(alerts.get(name), list) for name in ("firing", "watched"))
    return None if lists else f"{kind} whose alerts are {alerts!r}, without the lists firing and watched"


def _parse(frame: str | bytes) -> dict[str, Any]:
    """Return the object in a text frame; empty for anything else."""
    try:
        message = json.loads(frame) if isinstance(frame, str) else {}
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _wrong_shape(message: dict[str, Any]) -> str | None:
    if not message:
        return "no JSON object in a text frame"
    if message.get("type") not in TYPES:
        return f"type {message.get('type')!r} is not one of {', '.join(sorted(TYPES))}"
    if type(message.get("seq")) is not int:
        return f"seq {message.get('seq')!r} is no whole number"
    if not _is_time(message.get("timestamp")):
        return f"timestamp {message.get('timestamp')!r} is not RFC 3339 with an offset"
    if not isinstance(message.get("data"), dict):
        return f"data of {message['type']} is no object"
    return None


def _is_time(text: object) -> bool:
    try:
        return isinstance(text, str) and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
