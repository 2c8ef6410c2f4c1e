"""A deployment while it is told: its steps go to the ledger, each point of them to the open journal."""

import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gaia_checks.deploy.release import links, release_folder
from gaia_checks.deploy.state import ledger, paths
from gaia_checks.deploy.state.checkpoints import Checkpoint
from gaia_checks.deploy.state.deployment_journal import DeploymentJournal
from gaia_checks.environment import Environment


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment or rollback."""

    environment: Environment
    id: str
    kind: str  # "deploy" or "rollback"
    phase: str

    @property
    def diary(self) -> DeploymentJournal:
        """Its journal."""
        return DeploymentJournal(paths.of(self.environment))

    @contextmanager
    def step(self, point: Checkpoint) -> Iterator[None]:
        """Tell the ledger that a step began, and that it ended or why it failed."""
        self.record(point, "begun")
        try:
            with self.diary.at(point):
                yield
        except BaseException as error:
            self.record(point, "failed", why=str(error) or type(error).__name__)
            raise
        self.record(point, "ended")

    def at(self, point: Checkpoint) -> AbstractContextManager[None]:
        """Tell the journal that something within a step is begun, and that it ended."""
        return self.diary.at(point)

    def decide(self, release: Path) -> None:
        """Tell journal and ledger which release is to serve."""
        self.diary.decide(release)
        made = release_folder.describe(release)
        self.record("artifact", "made", release=release.name, commit=made.commit, sha256=made.sha256)

    def record(self, step: str, event: str, **facts: Any) -> None:
        """Tell the ledger."""
        ledger.append(self.environment, self.id, self.kind, self.phase, step, event, **facts)


def begin(
    environment: Environment, kind: str, phase: str, before: Path | None, *, database: bool = False
) -> Deployment:
    """Open the journal and the ledger's entry of a new deployment; `before` is the release that serves now."""
    deployment = Deployment(environment, f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(3)}", kind, phase)
    linked = {name: links.target(paths.of(environment).releases, name) for name in ("current", "previous")}
    deployment.diary.open(
        deployment=deployment.id,
        kind=kind,
        phase=phase,
        before=str(before) if before else None,
        **{name: str(to) if to else None for name, to in linked.items()},
        database=database,
        **({"stop_at": environment.stop_at} if environment.stop_at else {}),
    )
    deployment.record(ledger.WHOLE, "begun")
    return deployment


def end(deployment: Deployment, event: str, serves: Path | None, **facts: Any) -> None:
    """Tell the ledger how it went, unless it knows, and close the journal."""
    if not ledger.closed(deployment.environment, deployment.id):
        deployment.record(ledger.WHOLE, event, serves=serves.name if serves else None, **facts)
    deployment.diary.close(deployment.id)
