"""Where an environment's state lives: paths, and the making of folders that are nobody else's business."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from gaia_checks.environment import Environment
from gaia_checks.errors import NotWritable

SOCKET_PATH_LIMIT = 88
"""Longest folder of a Unix socket: 104 bytes on macOS, 108 on Linux, less the socket's own name."""


@dataclass(frozen=True, slots=True)
class Places:
    """The paths of one environment."""

    state: Path  # GAIA_HOME/<environment>
    releases: Path  # GAIA_HOME/releases/<environment>
    logs: Path  # GAIA_LOG_DIR/<environment>
    ledger: Path  # GAIA_LOG_DIR/deployments.log

    @property
    def deploy_lock(self) -> Path:
        """Held by the command that changes the environment."""
        return self.state / "deploy.lock"

    @property
    def supervise_lock(self) -> Path:
        """Held by the supervisor for as long as it lives."""
        return self.state / "supervise.lock"

    @property
    def record(self) -> Path:
        """What the supervisor last knew: the processes and the release."""
        return self.state / "state.json"

    @property
    def journal(self) -> Path:
        """What the deployment that is open has begun and ended; absent when none is."""
        return self.state / "journal.jsonl"

    @property
    def journals(self) -> Path:
        """The journals of closed deployments, by deployment."""
        return self.state / "journals"

    @property
    def dumps(self) -> Path:
        """The owned tables as they were before a deployment migrated them, by deployment."""
        return self.state / "dumps"

    @property
    def control(self) -> Path:
        """The supervisor's socket."""
        fits = len(os.fsencode(self.state)) <= SOCKET_PATH_LIMIT
        return (self.state if fits else short_folder(self.state)) / "control.sock"

    @property
    def cluster(self) -> Path:
        """Where an embedded PostgreSQL should live."""
        return self.state / "postgres"

    @property
    def caches(self) -> Path:
        """What the executables unpack, one folder per start."""
        return self.state / "cache"

    @property
    def server_log(self) -> Path:
        """What the servers write to stderr."""
        return self.logs / "server.log"

    @property
    def supervisor_log(self) -> Path:
        """What the supervisor writes itself."""
        return self.logs / "supervisor.log"


def of(environment: Environment) -> Places:
    """Return the places of `environment`."""
    return Places(
        state=environment.home / environment.name,
        releases=environment.home / "releases" / environment.name,
        logs=environment.log_dir / environment.name,
        ledger=environment.log_dir / "deployments.log",
    )


def prepare(places: Places) -> None:
    """Make every folder. Raises NotWritable naming the variable to set."""
    for folder, variable in (
        (places.state, "GAIA_HOME"),
        (places.releases, "GAIA_HOME"),
        (places.logs, "GAIA_LOG_DIR"),
    ):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            os.close(os.open(folder / ".writable", os.O_CREAT | os.O_WRONLY, 0o600))
            (folder / ".writable").unlink()
        except OSError as error:
            raise NotWritable(
                f"{folder}: cannot be written ({error.strerror}); make it yours, or set {variable} to another folder"
            ) from error
    for folder in (places.control.parent, places.caches):
        private(folder, closed=folder != places.state)


def private(folder: Path, *, closed: bool = True) -> None:
    """Make `folder` exist as ours, with `closed` for our eyes only. Raises NotWritable when it is somebody else's."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise NotWritable(f"{folder}: belongs to somebody else; remove it, or set GAIA_HOME to a folder of yours")
    if closed:
        folder.chmod(0o700)


def short_folder(wanted: Path) -> Path:
    """Return the path of a folder short enough for Unix sockets, the same for the same `wanted`."""
    digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]
    return Path(f"/tmp/gaia-{os.geteuid()}-{digest}")  # noqa: S108 - made with mode 0700 and its owner checked
