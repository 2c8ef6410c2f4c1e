"""The journal of one deployment: each checkpoint is on disk before it starts and after it finishes.

`<state>/journal.jsonl` exists while a deployment is open; closing the deployment renames it to
`<state>/journals/<deployment>.jsonl`. A command that holds the environment's lock and finds it
knows that an earlier command was killed.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gaia_checks import jsonl
from gaia_checks.deploy.state.checkpoints import Checkpoint, Event
from gaia_checks.deploy.state.paths import Paths, private
from gaia_checks.errors import DeployError

OnCheckpoint = Callable[[Checkpoint, Event], None]
"""Called by the process that has written a checkpoint; tests use it to kill processes there."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The plan and progress of an open deployment."""

    deployment: str
    kind: str  # "deploy" or "rollback"
    phase: str
    before: Path | None  # the release that served before; None: none did
    current: Path | None  # target of the link `current` before the deployment
    previous: Path | None  # target of the link `previous`; None: no such link
    release: Path | None  # the release to serve; None: not created yet
    database: bool  # a rollback that downgrades the schema too
    reached: Mapping[tuple[str, str], datetime]  # (checkpoint, event) -> when


@dataclass(frozen=True, slots=True)
class DeploymentJournal:
    """The open deployment journal below `paths`."""

    paths: Paths
    on_checkpoint: OnCheckpoint = lambda _checkpoint, _event: None

    def open(self, **facts: str | bool | None) -> None:
        """Start the journal with deployment, kind, phase, before, current, previous, database."""
        private(self.paths.journals)
        self._write(event="opened", **facts)

    @contextmanager
    def at(self, checkpoint: Checkpoint) -> Iterator[None]:
        """Journal the checkpoint's start, run the block, journal its end; an exception leaves it open."""
        self.reach(checkpoint, Event.STARTED)
        yield
        self.reach(checkpoint, Event.FINISHED)

    def reach(self, checkpoint: Checkpoint, event: Event) -> None:
        """Append one line; it is on disk when this returns."""
        self._write(point=checkpoint, event=event)
        self.on_checkpoint(checkpoint, event)

    def decide(self, release: Path) -> None:
        """Journal the release to serve."""
        self._write(event="decided", release=str(release))

    def close(self, deployment: str) -> None:
        """Archive the journal under `journals`."""
        self.paths.journal.rename(self.paths.journals / f"{deployment}.jsonl")

    def unfinished(self) -> Opened | None:
        """Return the open deployment, None when there is none.

        A journal without a complete first line records no action, and is removed.
        """
        lines = list(jsonl.read(self.paths.journal))
        if not lines:
            self.paths.journal.unlink(missing_ok=True)
            return None
        first = lines[0]
        release = next((line["release"] for line in lines if line["event"] == "decided"), None)
        return Opened(
            deployment=first["deployment"],
            kind=first["kind"],
            phase=first["phase"],
            before=_path(first["before"]),
            current=_path(first["current"]),
            previous=_path(first["previous"]),
            release=_path(release),
            database=first["database"],
            reached={
                (line["point"], line["event"]): datetime.fromisoformat(line["at"]) for line in lines if "point" in line
            },
        )

    def _write(self, **line: Any) -> None:
        try:
            jsonl.append(self.paths.journal, {"at": jsonl.now(), **line}, durable=True, mode=0o600)
        except OSError as error:
            raise DeployError(f"{self.paths.journal}: {error.strerror or error}; free some disk space") from error


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
