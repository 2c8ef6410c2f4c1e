"""What runs in an environment, as `gaia status` tells it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gaia_checks.model import Log, Process, Release


@dataclass(frozen=True, slots=True)
class Status:
    """A server and what is known of it."""

    environment: str
    state: str  # "running", "stopped", "crashed" (its restart is being waited for, or nobody restarts it), "starting"
    base_url: str
    database_url: str | None = field(default=None, repr=False)  # None while stopped
    database: str | None = None  # the same without the password
    process: Process | None = None
    started_at: str | None = None  # RFC 3339
    restarts: int = 0  # since the release was deployed
    release: Release | None = None
    release_dir: Path | None = None
    previous: Release | None = None
    log: Log | None = None
    tag_present: bool | None = None  # None: not deployed from a tag, or git does not tell

    def to_json(self) -> dict[str, Any]:
        """Return what may be shown: no secret."""
        return {
            "environment": self.environment,
            "state": self.state,
            "base_url": self.base_url,
            "database": self.database,
            "pid": self.process.pid if self.process else None,
            "started_at": self.started_at,
            "restarts": self.restarts,
            "release": _short(self.release),
            "previous": _short(self.previous),
            "tag_present": self.tag_present,
        }


def _short(release: Release | None) -> dict[str, Any] | None:
    return {"phase": release.phase, "commit": release.commit, "sha256": release.sha256} if release else None
