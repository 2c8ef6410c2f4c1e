"""The append-only record of deployments: every step begun and ended, and how it went (`deployments.log`).

One line per event: at, environment, deployment, phase, kind, step, event, by, and facts. The step `deployment` is
the whole: begun, then `ended` or `failed` by its own command, or `finished` or `undone` by the next one after a
kill. The line that closes it says under `serves` which release runs then (null: nothing).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gaia_checks import jsonl
from gaia_checks.deploy.state import lock, paths
from gaia_checks.deploy.state.lock import who
from gaia_checks.environment import Environment
from gaia_checks.errors import DeployError

WHOLE = "deployment"


def append(
    environment: Environment, deployment: str, kind: str, phase: str, step: str, event: str, **facts: Any
) -> None:
    """Append one record; it is on the disk when this returns. What it tells is redacted."""
    line = {
        "at": jsonl.now(),
        "environment": environment.name,
        "deployment": deployment,
        "phase": phase,
        "kind": kind,
        "step": step,
        "event": event,
        "by": lock.who(),
        **{name: environment.redact(fact) if isinstance(fact, str) else fact for name, fact in facts.items()},
    }
    path = paths.of(environment).ledger
    try:
        jsonl.append(path, line, durable=True)
    except OSError as error:
        raise DeployError(f"{path}: {error.strerror or error}; free some disk space") from error


def closed(environment: Environment, deployment: str) -> bool:
    """Whether the ledger says how the deployment went."""
    return any(
        line["deployment"] == deployment and line["step"] == WHOLE and line["event"] != "begun"
        for line in _of(environment)
    )


def migrated(environment: Environment) -> frozenset[str]:
    """Return every version that a deployment here set out to apply: a release may be older than those."""
    return frozenset(version for line in _of(environment) for version in line.get("migrating", ()))


def migrated_by(environment: Environment, version: str) -> str | None:
    """Return the last deployment that set out to apply `version`, None when none did."""
    found = [line["deployment"] for line in _of(environment) if version in line.get("migrating", ())]
    return found[-1] if found else None


def served(environment: Environment) -> tuple[str, ...]:
    """Return the names of the releases that a deployment or rollback has left serving, oldest first."""
    closing = (line for line in _of(environment) if line["step"] == WHOLE and line.get("serves"))
    return tuple(line["serves"] for line in closing)


def _of(environment: Environment) -> Iterator[dict[str, Any]]:
    return (line for line in jsonl.read(paths.of(environment).ledger) if line["environment"] == environment.name)


PRESENT = ("past", "new", "moved")
GONE = "deleted"


def note(ledger: Path, environment: str | None, phase: str | None, step: str, event: str, **facts: Any) -> None:
    """Append one record; it is on the disk when this returns. Facts that are None are left out."""
    ledger.parent.mkdir(parents=True, exist_ok=True)
    known = {name: fact for name, fact in facts.items() if fact is not None}
    about = {"at": jsonl.now(), "environment": environment, "deployment": None, "phase": phase}
    jsonl.append(ledger, {**about, "step": step, "event": event, "by": who(), **known}, durable=True)


def about_phase(ledger: Path, environment: str, phase: str, *steps: str) -> Iterator[dict[str, Any]]:
    """Yield the records of these steps about one phase in one environment, oldest first."""
    for record in jsonl.read(ledger):
        if (record.get("environment"), record.get("phase")) == (environment, phase) and record.get("step") in steps:
            yield record


def tag_seen(ledger: Path, environment: str, phase: str) -> bool | None:
    """Whether the tag was there when it was last looked at; None when nobody watches it."""
    seen = None
    for record in about_phase(ledger, environment, phase, "tag"):
        if record["event"] in PRESENT or record["event"] == GONE:
            seen = record["event"] != GONE
    return seen
