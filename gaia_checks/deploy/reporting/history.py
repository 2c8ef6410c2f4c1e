"""What happened in an environment, one entry per deployment, gate, tag, sign-off and promotion (pure)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened."""

    at: str  # RFC 3339 UTC, when it began
    what: str  # "deploy", "rollback", "gate", "tag", ...
    phase: str | None
    outcome: str  # how it ended; "open" while it lasts, or when it was killed
    took_s: float | None  # from its first record to its last; None where there is but one
    by: str | None  # the account that did it, the person who signed off
    commit: str | None
    why: str | None  # why it failed, or where the evidence is


def entries(records: Iterable[Record], environment: str) -> list[Entry]:
    """Return what the ledger's records say of one environment, oldest first.

    Records with the same `deployment` belong together: the first says what was begun, and its end how it went.
    """
    together: dict[object, list[Record]] = {}
    for number, record in enumerate(records):
        if record.get("environment") == environment:
            together.setdefault(record.get("deployment") or number, []).append(record)
    return [_entry(told) for told in together.values()]


def _entry(told: list[Record]) -> Entry:
    first = told[0]
    own = [record for record in told if record["step"] == first["step"]]
    outcome = own[-1]["event"]
    return Entry(
        at=first["at"],
        what=first.get("kind") or first["step"],
        phase=first["phase"],
        outcome="open" if outcome == "begun" else outcome,
        took_s=_seconds(first["at"], own[-1]["at"]) if len(own) > 1 else None,
        by=first.get("name") or first.get("by"),
        commit=next((record["commit"] for record in told if record.get("commit")), None),
        why=_why(told),
    )


def _why(told: list[Record]) -> str | None:
    """Return the cause of the step that failed, which the failure of the whole only repeats."""
    for record in told:
        if record.get("why"):
            step = f"{record['step']}: " if record["step"] != told[0]["step"] else ""
            return f"{step}{record['why']}"
    return next((record["evidence"] for record in told if record.get("evidence")), None)


def _seconds(begun: str, ended: str) -> float:
    return round((datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds(), 3)
