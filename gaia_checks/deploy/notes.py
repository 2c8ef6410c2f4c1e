"""What the ledger says beside deployments: tags seen, gates run, sign-offs, promotions, alerts.

    {"at", "environment", "deployment": null, "phase", "step", "event", "by", ...}

step: "tag", "watch", "gate", "sign-off", "promote" or "alert". `environment` is null for a tag that cannot be read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gaia_checks import journal
from gaia_checks.deploy.lock import who

PRESENT = ("past", "new", "moved")
GONE = "deleted"


def note(ledger: Path, environment: str | None, phase: str | None, step: str, event: str, **facts: Any) -> None:
    """Append one record; it is on the disk when this returns. Facts that are None are left out."""
    ledger.parent.mkdir(parents=True, exist_ok=True)
    known = {name: fact for name, fact in facts.items() if fact is not None}
    about = {"at": journal.now(), "environment": environment, "deployment": None, "phase": phase}
    journal.append(ledger, {**about, "step": step, "event": event, "by": who(), **known}, durable=True)


def read(ledger: Path, environment: str, phase: str, *steps: str) -> Iterator[dict[str, Any]]:
    """Yield the records of these steps about one phase in one environment, oldest first."""
    for record in journal.read(ledger):
        if (record.get("environment"), record.get("phase")) == (environment, phase) and record.get("step") in steps:
            yield record


def tag_seen(ledger: Path, environment: str, phase: str) -> bool | None:
    """Whether the tag was there when it was last looked at; None when nobody watches it."""
    seen = None
    for record in read(ledger, environment, phase, "tag"):
        if record["event"] in PRESENT or record["event"] == GONE:
            seen = record["event"] != GONE
    return seen
