"""What a look at a rehearsal copy needs of it. The copy itself is made by `deploy.rehearsal_copy`."""

from pathlib import Path
from typing import Protocol

from gaia_checks.model import Target


class Copy(Protocol):
    """A place beside the target where its releases are deployed, broken and gone back from."""

    @property
    def current(self) -> Path:
        """The folder of the release that the target runs."""

    @property
    def target(self) -> Target:
        """What runs here now. Raises NotReady when nothing does."""

    def before(self) -> tuple[Path, str]:
        """Return the folder of the release to go back to, and what it is in words. Raises GaiaError without one."""

    def deploy(self, release: Path) -> None:
        """Deploy a release as it would be deployed in the target. Raises GaiaError."""

    def rollback(self) -> None:
        """Go back to what served before, as it would be done in the target. Raises GaiaError."""

    def crash(self) -> None:
        """End server and database as a power cut does; return when both are back by themselves. Raises GaiaError."""

    def irreversible(self) -> tuple[str, ...]:
        """Return what the current release's rollback files do not undo, one sentence each. Raises GaiaError."""
