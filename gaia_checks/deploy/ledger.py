"""The append-only record of deployments: every step begun and ended, and how it went (`deployments.log`)."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gaia_checks import journal
from gaia_checks.deploy import lock
from gaia_checks.environment import Environment
from gaia_checks.model import timestamp


@dataclass(frozen=True, slots=True)
class Story:
    """One deployment in the ledger."""

    path: Path
    environment: Environment
    id: str
    phase: str

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Record that the step began, and that it ended or why it failed."""
        self.record(name, "begun")
        try:
            yield
        except BaseException as error:
            self.record(name, "failed", why=self.environment.redact(str(error) or type(error).__name__))
            raise
        self.record(name, "ended")

    def record(self, step: str, event: str, **facts: str | None) -> None:
        """Append one record; it is on the disk when this returns."""
        line = {
            "at": timestamp(datetime.now(UTC)),
            "environment": self.environment.name,
            "deployment": self.id,
            "phase": self.phase,
            "step": step,
            "event": event,
            "by": lock.who(),
            **facts,
        }
        journal.append(self.path, line, durable=True)


@contextmanager
def story(path: Path, environment: Environment, phase: str) -> Iterator[Story]:
    """Record a deployment from its beginning to its outcome; what an earlier one left open is closed first."""
    _close_interrupted(path, environment)
    told = Story(path, environment, f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}", phase)
    with told.step("deployment"):
        yield told


def _close_interrupted(path: Path, environment: Environment) -> None:
    """Record as interrupted the deployment that began and neither ended nor failed: its process was killed."""
    still_open = None
    for record in journal.read(path):
        if record["environment"] == environment.name and record["step"] == "deployment":
            still_open = record if record["event"] == "begun" else None
    if still_open:
        Story(path, environment, still_open["deployment"], still_open["phase"]).record("deployment", "interrupted")
