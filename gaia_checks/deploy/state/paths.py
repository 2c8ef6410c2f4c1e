"""The paths of an environment's state, and the creation of private folders."""

import contextlib
import hashlib
import os
import secrets
import stat
import threading
from dataclasses import dataclass
from pathlib import Path

from gaia_checks.environment import Environment
from gaia_checks.errors import NotWritable

SOCKET_PATH_LIMIT = 88
"""Maximum length of a Unix socket's folder in bytes: 104 (macOS) or 108 (Linux), less the socket's file name."""


@dataclass(frozen=True, slots=True)
class Places:
    """The paths of one environment."""

    state: Path  # GAIA_HOME/<environment>
    releases: Path  # GAIA_HOME/releases/<environment>
    logs: Path  # GAIA_LOG_DIR/<environment>
    ledger: Path  # GAIA_LOG_DIR/deployments.log

    @property
    def deploy_lock(self) -> Path:
        """Locked by the command that changes the environment."""
        return self.state / "deploy.lock"

    @property
    def supervise_lock(self) -> Path:
        """Locked by the supervisor while it runs."""
        return self.state / "supervise.lock"

    @property
    def record(self) -> Path:
        """The supervisor's last state: its processes and release."""
        return self.state / "state.json"

    @property
    def journal(self) -> Path:
        """The checkpoints of the open deployment; absent when none is open."""
        return self.state / "journal.jsonl"

    @property
    def journals(self) -> Path:
        """The journals of closed deployments, one file each."""
        return self.state / "journals"

    @property
    def dumps(self) -> Path:
        """The dumps of the owned tables before migration, one per deployment."""
        return self.state / "dumps"

    @property
    def control(self) -> Path:
        """The supervisor's control socket."""
        fits = len(os.fsencode(self.state)) <= SOCKET_PATH_LIMIT
        return (self.state if fits else short_folder(self.state)) / "control.sock"

    @property
    def cluster(self) -> Path:
        """The preferred folder of an embedded PostgreSQL."""
        return self.state / "postgres"

    @property
    def caches(self) -> Path:
        """The files that executables unpack, one folder per start."""
        return self.state / "cache"

    @property
    def server_log(self) -> Path:
        """The servers' stderr."""
        return self.logs / "server.log"

    @property
    def supervisor_log(self) -> Path:
        """The supervisor's own log."""
        return self.logs / "supervisor.log"


def of(environment: Environment) -> Places:
    """Return the paths of `environment`."""
    return Places(
        state=environment.home / environment.name,
        releases=environment.home / "releases" / environment.name,
        logs=environment.log_dir / environment.name,
        ledger=environment.log_dir / "deployments.log",
    )


def prepare(paths: Places) -> None:
    """Create every folder. Raises NotWritable, which names the variable to set."""
    for folder, variable in (
        (paths.state, "GAIA_HOME"),
        (paths.releases, "GAIA_HOME"),
        (paths.logs, "GAIA_LOG_DIR"),
    ):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            os.close(os.open(folder / ".writable", os.O_CREAT | os.O_WRONLY, 0o600))
            (folder / ".writable").unlink()
        except OSError as error:
            raise NotWritable(
                f"{folder}: cannot be written ({error.strerror}); change its owner, or set {variable} to another folder"
            ) from error
    for folder in (paths.control.parent, paths.caches):
        private(folder, closed=folder != paths.state)


def home_identity(environment: Environment) -> str:
    """Return the identity of GAIA_HOME, which is made at its first use."""
    path = environment.home / "identity"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".identity.{os.getpid()}.{threading.get_ident()}")
        draft.write_text(secrets.token_hex(6))
        with contextlib.suppress(FileExistsError):  # another command was faster
            os.link(draft, path)
        draft.unlink()
    return path.read_text()


def private(folder: Path, *, closed: bool = True) -> None:
    """Create `folder`; `closed` sets mode 0700. Raises NotWritable when another account owns it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise NotWritable(f"{folder}: belongs to another account; remove it, or set GAIA_HOME to a folder of yours")
    if closed:
        folder.chmod(0o700)


def short_folder(wanted: Path) -> Path:
    """Return a folder path short enough for a Unix socket, derived from `wanted`."""
    digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]
    return Path(f"/tmp/gaia-{os.geteuid()}-{digest}")  # noqa: S108 - created with mode 0700, its owner is checked
