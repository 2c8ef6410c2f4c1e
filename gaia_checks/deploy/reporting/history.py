"""The history of an environment: one entry per deployment, gate, tag, sign-off and promotion (pure)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One deployment, rollback, gate, tag change, sign-off or promotion."""

    at: str  # start, RFC 3339 UTC
    what: str  # "deploy", "rollback", "gate", "tag", ...
    phase: str | None
    outcome: str  # event of its last record; "open" while it runs, or after a kill
    took_s: float | None  # from its first record to its last; None with a single record
    by: str | None  # the account that ran it, or the person who signed off
    commit: str | None
    why: str | None  # the cause of a failure, or the path of the evidence


def entries(records: Iterable[Record], environment: str) -> list[Entry]:
    """Group the ledger's records of one environment into entries, oldest first.

    Records with the same `deployment` form one entry: the first names what was started, the last its outcome.
    """
    groups: dict[object, list[Record]] = {}
    for number, record in enumerate(records):
        if record.get("environment") == environment:
            groups.setdefault(record.get("deployment") or number, []).append(record)
    return [_entry(group) for group in groups.values()]


def _entry(group: list[Record]) -> Entry:
    first = group[0]
    own = [record for record in group if record["step"] == first["step"]]
    outcome = own[-1]["event"]
    return Entry(
        at=first["at"],
        what=first.get("kind") or first["step"],
        phase=first["phase"],
        outcome="open" if outcome == "started" else outcome,
        took_s=_seconds(first["at"], own[-1]["at"]) if len(own) > 1 else None,
        by=first.get("name") or first.get("by"),
        commit=next((record["commit"] for record in group if record.get("commit")), None),
        why=_why(group),
    )


def _why(group: list[Record]) -> str | None:
    """Return the cause from the failed step; the failure of the whole deployment only repeats it."""
    for record in group:
        if record.get("why"):
            step = f"{record['step']}: " if record["step"] != group[0]["step"] else ""
            return f"{step}{record['why']}"
    return next((record["evidence"] for record in group if record.get("evidence")), None)


def _seconds(started: str, finished: str) -> float:
    return round((datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds(), 3)
