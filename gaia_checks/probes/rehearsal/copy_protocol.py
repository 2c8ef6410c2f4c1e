"""The interface of a rehearsal copy for probes. `deploy.rehearsal` creates the rehearsal copy."""

from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import Popen
from typing import Protocol

from gaia_checks.model import Target


class CopyProtocol(Protocol):
    """A deployment beside the target whose releases are deployed, crashed and rolled back."""

    @property
    def current(self) -> Path:
        """The folder of the release that the target runs."""

    @property
    def target(self) -> Target:
        """The running server. Raises NotReady when none runs."""

    def before(self) -> tuple[Path, str]:
        """Return the folder of the rollback target, and its description. Raises GaiaError without one."""

    def deploy(self, release: Path) -> None:
        """Deploy a release exactly as in the target. Raises GaiaError."""

    def rollback(self) -> None:
        """Roll back to the previous release exactly as in the target. Raises GaiaError."""

    def crash(self) -> None:
        """Kill server and database as a power cut does; return after both have restarted. Raises GaiaError."""

    def irreversible(self) -> tuple[str, ...]:
        """Return what the current release's rollback files do not undo, one sentence each. Raises GaiaError."""


class OwnServerProtocol(Protocol):
    """A server that the probe started itself."""

    @property
    def target(self) -> Target:
        """The server."""

    @property
    def process(self) -> Popen[bytes]:
        """Its process, a child of this one."""


class BareCopyProtocol(Protocol):
    """A migrated database, on which a probe starts servers, and which fails on command. All raise GaiaError."""

    @property
    def database_url(self) -> str:
        """The connection string of its database."""

    def start(self, port: int | None = None, **variables: str) -> OwnServerProtocol:
        """Start a server on `port`, by default a free one, with these variables; an empty one is left out."""

    def left(self) -> list[str]:
        """Return the running processes of its servers."""

    def is_free(self, port: int) -> bool:
        """Whether another server could listen on `port`."""

    def stopped(self) -> AbstractContextManager[None]:
        """Stop the database for the duration of the block."""

    def frozen(self) -> AbstractContextManager[None]:
        """Freeze the database for the duration of the block: it accepts connections and answers nothing."""

    def out_of_connections(self) -> AbstractContextManager[None]:
        """End all sessions, and refuse new ones for the duration of the block."""


class PairProtocol(Protocol):
    """The previous release and the new one beside each other. All raise GaiaError."""

    @property
    def previous(self) -> BareCopyProtocol:
        """A copy of the previous release."""

    @property
    def new(self) -> BareCopyProtocol:
        """A copy of the release under test."""

    def sessions(self) -> tuple[list[int], list[int]]:
        """Return the processes of the sessions of the previous and of the new release's servers."""

    def transactions(self) -> tuple[int, int]:
        """Return all transactions in the databases of both; their servers have stopped."""
