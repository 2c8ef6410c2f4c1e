"""A running deployment: its steps are recorded in the ledger, its checkpoints in the open journal."""

import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gaia_checks.deploy.release import links, release_folder
from gaia_checks.deploy.state import deployment_ledger, paths
from gaia_checks.deploy.state.checkpoints import Checkpoint
from gaia_checks.deploy.state.deployment_journal import DeploymentJournal, OnCheckpoint
from gaia_checks.environment.environment import Environment


def new_id() -> str:
    """Return a unique id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment or rollback."""

    environment: Environment
    id: str
    kind: str  # "deploy" or "rollback"
    phase: str
    on_checkpoint: OnCheckpoint = lambda _checkpoint, _event: None

    @property
    def journal(self) -> DeploymentJournal:
        """The deployment's journal."""
        return DeploymentJournal(paths.of(self.environment), self.on_checkpoint)

    @contextmanager
    def step(self, point: Checkpoint) -> Iterator[None]:
        """Record in the ledger that a step started, and that it finished or why it failed."""
        self.record(point, "started")
        try:
            with self.journal.at(point):
                yield
        except BaseException as error:
            self.record(point, "failed", why=str(error) or type(error).__name__)
            raise
        self.record(point, "finished")

    def at(self, point: Checkpoint) -> AbstractContextManager[None]:
        """Write the start and the end of a checkpoint within a step to the journal."""
        return self.journal.at(point)

    def decide(self, release: Path) -> None:
        """Record in journal and ledger which release is to serve."""
        self.journal.decide(release)
        described = release_folder.describe(release)
        self.record("artifact", "made", release=release.name, commit=described.commit, sha256=described.sha256)

    def record(self, step: str, event: str, **facts: Any) -> None:
        """Append a record to the ledger."""
        deployment_ledger.append(self.environment, self.id, self.kind, self.phase, step, event, **facts)


def start(deployment: Deployment, before: Path | None, *, database: bool = False) -> None:
    """Open the deployment's journal and record its start in the ledger; `before` is the release that serves now."""
    environment = deployment.environment
    linked = {name: links.target(paths.of(environment).releases, name) for name in ("current", "previous")}
    deployment.journal.open(
        deployment=deployment.id,
        kind=deployment.kind,
        phase=deployment.phase,
        before=str(before) if before else None,
        **{name: str(to) if to else None for name, to in linked.items()},
        database=database,
    )
    deployment.record(deployment_ledger.WHOLE, "started")


def finish(deployment: Deployment, event: str, serves: Path | None, **facts: Any) -> None:
    """Record the outcome in the ledger, unless it is there already, and close the journal."""
    if not deployment_ledger.closed(deployment.environment, deployment.id):
        deployment.record(deployment_ledger.WHOLE, event, serves=serves.name if serves else None, **facts)
    deployment.journal.close(deployment.id)
