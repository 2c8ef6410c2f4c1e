"""The status of an environment: the supervisor's record, checked against the running processes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gaia_checks.deploy.git import git_command
from gaia_checks.deploy.git.tag import WORKTREE, Tag
from gaia_checks.deploy.release import release_folder
from gaia_checks.deploy.state import paths, supervisor_state
from gaia_checks.deploy.state.deployment_ledger import tag_observed
from gaia_checks.deploy.state.supervisor_state import SupervisorState
from gaia_checks.deploy.supervisor import listening_socket
from gaia_checks.environment.environment import Environment, url_of
from gaia_checks.errors import ArtifactError
from gaia_checks.model import LogLocation, Process, Release


@dataclass(frozen=True, slots=True)
class Status:
    """A server's state, process and release."""

    environment: str
    state: str  # "running", "stopped", "crashed" (awaiting its restart, or without a supervisor), "starting"
    base_url: str
    database_url: str | None = field(default=None, repr=False)  # None while stopped
    database: str | None = None  # the same without the password
    process: Process | None = None
    started_at: str | None = None  # RFC 3339
    restarts: int = 0  # since the release was deployed
    release: Release | None = None
    release_dir: Path | None = None
    previous: Release | None = None
    log: LogLocation | None = None
    promotion: str | None = None  # "required" or "advisory"; None where a tag alone is enough
    next_swap: str | None = None  # "hand-over", or "stop and start" and why; None while nothing runs
    tag_present: bool | None = None  # None: not deployed from a tag, or git cannot determine it

    def to_json(self) -> dict[str, Any]:
        """Return the fields to display, without secrets."""
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
            "promotion": self.promotion,
            "next_swap": self.next_swap,
            "tag_present": self.tag_present,
        }


def _short(release: Release | None) -> dict[str, Any] | None:
    return {"phase": release.phase, "commit": release.commit, "sha256": release.sha256} if release else None


def status(environment: Environment) -> Status:
    """Return the status of `environment`. Changes nothing. Raises DeployError when the record is damaged.

    A recorded release that is no longer readable counts as none, so that another can be deployed in its place.
    """
    here = paths.of(environment)
    log = LogLocation(str(here.server_log)) if here.server_log.exists() else None
    found = supervisor_state.read(here.record)
    if found is None or found.release is None:
        return Status(
            environment.name, "stopped", environment.local_url, log=log, promotion=_promotion(environment, None)
        )
    folder = Path(found.release)
    release = _readable(folder)
    from gaia_checks.deploy.postgres import database_connection  # noqa: PLC0415 - a stopped server has no database
    from gaia_checks.deploy.postgres.dsn import database_url  # noqa: PLC0415

    dsn = database_url(environment)
    return Status(
        environment=environment.name,
        state=_state(found),
        base_url=url_of(found.host, found.port) if found.host and found.port else environment.local_url,
        database_url=dsn,
        database=database_connection.whereabouts(dsn) if dsn else None,
        process=_process(found, folder),
        started_at=found.started_at,
        restarts=found.restarts,
        release=release,
        release_dir=folder if release else None,
        previous=_previous(here.releases / "previous"),
        log=log,
        promotion=_promotion(environment, release),
        next_swap=_next_swap(found),
        tag_present=_tag_present(here.ledger, Tag(environment.name, release.phase)) if release else None,
    )


def _promotion(environment: Environment, release: Release | None) -> str | None:
    """Return how promotion is enforced; the working tree on a developer's machine is not promoted."""
    by_tag = environment.database != "embedded" or (release is not None and release.phase != WORKTREE)
    return environment.promotion if environment.promoted and by_tag else None


def _state(found: SupervisorState) -> str:
    """Correct the recorded state: a server may outlive its supervisor, and "running" is stale when it has died."""
    serving = found.server is not None and found.server.alive
    if found.supervisor.alive:
        return found.state if serving else "crashed"
    return "running" if serving else "crashed"


def _process(found: SupervisorState, folder: Path) -> Process | None:
    if found.server is None or not found.server.alive:
        return None
    return Process(found.server.pid, found.server.birth, found.server.created_s, folder / "gaia_server")


def _next_swap(found: SupervisorState) -> str | None:
    if found.server is None or not found.server.alive:
        return None
    if listening_socket.kept(found):
        return f"stop and start: {listening_socket.KEPT}"
    return "hand-over" if found.handover else "stop and start"


def _previous(link: Path) -> Release | None:
    return _readable(link.resolve()) if link.exists() else None


def _readable(folder: Path) -> Release | None:
    try:
        return release_folder.describe(folder)
    except ArtifactError:
        return None


def _tag_present(ledger: Path, tag: Tag) -> bool | None:
    """Whether the tag exists: on the watched remote, else in the project's own repository."""
    if tag.phase == WORKTREE:
        return None
    observed = tag_observed(ledger, tag.environment, tag.phase)
    return git_command.tag_present(tag) if observed is None else observed
