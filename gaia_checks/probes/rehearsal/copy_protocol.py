"""The interface of a rehearsal copy for probes. `deploy.rehearsal` creates the rehearsal copy."""

from pathlib import Path
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
