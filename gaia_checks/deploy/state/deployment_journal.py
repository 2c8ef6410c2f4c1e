"""The journal of one deployment: what was begun and ended, on the disk before and after it is done.

`<state>/journal.jsonl` is there for as long as a deployment is open; closing it moves it to
`<state>/journals/<deployment>.jsonl` by one rename. Whoever finds it there, with the environment's lock
in hand, finds the trace of a killed command.

For tests alone: the first line may carry `stop_at` (the variable GAIA_STOP_AT), e.g. `harness@deploy.start:begun`
or `supervisor@deploy.start:begun` or, with a pid (a database's), `4711@verify:begun`. Whichever process first writes
that point then kills the one that is named.
Nothing else is different, so what is tested is what runs.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gaia_checks import jsonl
from gaia_checks.deploy.state import processes, supervisor_state
from gaia_checks.deploy.state.checkpoints import Checkpoint, Event
from gaia_checks.deploy.state.paths import Places
from gaia_checks.errors import DeployError


@dataclass(frozen=True, slots=True)
class Opened:
    """What an open deployment set out to do, and how far it came."""

    deployment: str
    kind: str  # "deploy" or "rollback"
    phase: str
    before: Path | None  # the release that served before; None: nothing did
    current: Path | None  # where the links pointed before, `current` and
    previous: Path | None  # `previous`; None: there was none
    release: Path | None  # the release that is to serve; None: it was not made yet
    database: bool  # a rollback that takes the schema along
    reached: frozenset[tuple[str, str]]  # (point, event)


@dataclass(frozen=True, slots=True)
class DeploymentJournal:
    """The open journal of the environment at `here`."""

    here: Places

    def open(self, **facts: str | bool | None) -> None:
        """Begin the journal: deployment, kind, phase, before, current, previous, database, stop_at."""
        self.here.journals.mkdir(exist_ok=True)
        self._write(event="opened", harness=asdict(supervisor_state.mine()), **facts)

    @contextmanager
    def at(self, point: Checkpoint) -> Iterator[None]:
        """Write that the point is begun, run the block, write that it ended."""
        self.reach(point, Event.BEGUN)
        yield
        self.reach(point, Event.ENDED)

    def reach(self, point: Checkpoint, event: Event) -> None:
        """Write one line. It is on the disk when this returns."""
        self._write(point=point, event=event)
        self._stop_here(point, event)

    def decide(self, release: Path) -> None:
        """Write which release is to serve."""
        self._write(event="decided", release=str(release))

    def close(self, deployment: str) -> None:
        """Let the journal be one of the past."""
        self.here.journal.rename(self.here.journals / f"{deployment}.jsonl")

    def unfinished(self) -> Opened | None:
        """Return what stands in the open journal, None when there is none.

        A journal that was killed before its first line was whole has begun nothing, and is removed.
        """
        lines = list(jsonl.read(self.here.journal))
        if not lines:
            self.here.journal.unlink(missing_ok=True)
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
            reached=frozenset((line["point"], line["event"]) for line in lines if "point" in line),
        )

    def _write(self, **line: Any) -> None:
        try:
            jsonl.append(self.here.journal, {"at": jsonl.now(), **line}, durable=True)
        except OSError as error:
            raise DeployError(f"{self.here.journal}: {error.strerror or error}; free some disk space") from error

    def _stop_here(self, point: Checkpoint, event: Event) -> None:
        first, *lines = jsonl.read(self.here.journal)
        victim, _, where = (first.get("stop_at") or "").partition("@")
        times = sum((line.get("point"), line["event"]) == (point, event) for line in lines)
        if where != f"{point}:{event}" or times > 1:
            return
        known = supervisor_state.read(self.here.record)
        supervisor = known.supervisor if known else None
        known_as = {"harness": supervisor_state.Running(**first["harness"]), "supervisor": supervisor}
        found = supervisor_state.of(int(victim)) if victim.isdecimal() else known_as[victim]
        if found and found.alive:
            os.kill(found.pid, signal.SIGKILL)
            processes.await_end(found.pid, found.birth)


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
