"""The append-only ledger of deployments (`deployments.log`): the start, end and outcome of every step.

One line per event: at, environment, deployment, phase, kind, step, event, by, and facts. The step `deployment`
is the whole deployment: `started`, then `finished` or `failed` by its own command, or `recovered` or `undone` by the
next command after a kill. Its closing line names the release that then serves under `serves` (null: none).

Every line ends with `home`, the identity of the GAIA_HOME that wrote it, and `chain`, a sha256 over the line and the
`chain` before it: `ledger_chain` finds a line that was removed, edited or moved.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gaia_checks import jsonl
from gaia_checks.deploy.state import ledger_chain, paths
from gaia_checks.deploy.state.lock import who
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import DeployError
from gaia_checks.printable import printable

WHOLE = "deployment"


def append(
    environment: Environment, deployment: str, kind: str, phase: str, step: str, event: str, **facts: Any
) -> None:
    """Append one record of a deployment; it is on disk when this returns. Raises DeployError."""
    facts = {"kind": kind, **facts}
    _write(environment, environment.name, deployment, phase, {"step": step, "event": event, **facts})


def note(here: Environment, environment: str | None, phase: str | None, step: str, event: str, **facts: Any) -> None:
    """Append one record outside a deployment, without the facts that are None. Raises DeployError."""
    present_facts = {name: fact for name, fact in facts.items() if fact is not None}
    _write(here, environment, None, phase, {"step": step, "event": event, **present_facts})


def _write(
    here: Environment, environment: str | None, deployment: str | None, phase: str | None, facts: dict[str, Any]
) -> None:
    """Append a line to the ledger of this machine. Secrets in texts are redacted, control characters escaped."""
    common = {"at": jsonl.now(), "environment": environment, "deployment": deployment, "phase": phase, "by": who()}
    clean = {
        name: printable(here.redact(fact)) if isinstance(fact, str) else fact
        for name, fact in {**common, **facts}.items()
    }
    path = paths.of(here).ledger
    paths.refuse_link(path, "GAIA_LOG_DIR")
    try:
        paths.create(path.parent)
        ledger_chain.append(path, paths.home_identity(here), clean)
    except OSError as error:
        raise DeployError(f"{path}: {error.strerror or error}; free some disk space") from error


def closed(environment: Environment, deployment: str) -> bool:
    """Whether the ledger records the outcome of the deployment."""
    return any(
        line["deployment"] == deployment and line["step"] == WHOLE and line["event"] != "started"
        for line in _records(environment)
    )


def migrated(environment: Environment) -> frozenset[str]:
    """Return every migration version that a deployment started to apply; the running release may not know them."""
    return frozenset(version for line in _records(environment) for version in line.get("migrating", ()))


def migrated_by(environment: Environment, version: str) -> str | None:
    """Return the last deployment that started to apply `version`, None when none did."""
    found = [line["deployment"] for line in _records(environment) if version in line.get("migrating", ())]
    return found[-1] if found else None


def served(environment: Environment) -> tuple[str, ...]:
    """Return the names of the releases that served after a deployment or rollback, oldest first."""
    closing = (line for line in _records(environment) if line["step"] == WHOLE and line.get("serves"))
    return tuple(line["serves"] for line in closing)


def in_service_since(environment: Environment, name: str) -> str | None:
    """Return when the release `name`, which serves, came into service; None when the ledger names another one."""
    since = None
    for line in _records(environment):
        if line["step"] == WHOLE and "serves" in line:
            since = (since or line["at"]) if line["serves"] == name else None
    return since


def _records(environment: Environment) -> Iterator[dict[str, Any]]:
    return (line for line in jsonl.read(paths.of(environment).ledger) if line["environment"] == environment.name)


_TAG_EXISTS = ("past", "new", "moved")
_TAG_DELETED = "deleted"


def about_phase(ledger: Path, environment: str, phase: str, *steps: str) -> Iterator[dict[str, Any]]:
    """Yield the records of `steps` for one phase in one environment, oldest first."""
    for record in jsonl.read(ledger):
        if (record.get("environment"), record.get("phase")) == (environment, phase) and record.get("step") in steps:
            yield record


def tag_observed(ledger: Path, environment: str, phase: str) -> bool | None:
    """Whether the tag existed when `gaia watch` last observed it; None when it never did."""
    present = None
    for record in about_phase(ledger, environment, phase, "tag"):
        if record["event"] in _TAG_EXISTS or record["event"] == _TAG_DELETED:
            present = record["event"] != _TAG_DELETED
    return present
