"""The paths of an environment's state, and the creation of private folders."""

import contextlib
import hashlib
import os
import secrets
import stat
import threading
from dataclasses import dataclass
from pathlib import Path

from gaia_checks.environment.environment import Environment
from gaia_checks.errors import NotWritable

SOCKET_PATH_LIMIT = 88
"""Maximum length of a Unix socket's folder in bytes: 104 (macOS) or 108 (Linux), less the socket's file name."""


PRIVATE = 0o700
"""The mode of a folder that only its own account may enter."""


@dataclass(frozen=True, slots=True)
class Paths:
    """The paths of one environment."""

    state: Path  # GAIA_HOME/<environment>
    releases: Path  # GAIA_HOME/releases/<environment>
    logs: Path  # GAIA_LOG_DIR/<environment>
    ledger: Path  # GAIA_LOG_DIR/deployments.log
    embedded: bool = False  # whether an embedded PostgreSQL lives below `state`

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
        """The output of the servers that serve or served."""
        return self.logs / "server.log"

    @property
    def candidate_log(self) -> Path:
        """The output of the last candidate."""
        return self.logs / "candidate.log"

    @property
    def supervisor_log(self) -> Path:
        """The supervisor's own log."""
        return self.logs / "supervisor.log"


def of(environment: Environment) -> Paths:
    """Return the paths of `environment`."""
    return Paths(
        state=environment.home / environment.name,
        releases=environment.home / "releases" / environment.name,
        logs=environment.log_dir / environment.name,
        ledger=environment.log_dir / "deployments.log",
        embedded=environment.database == "embedded",
    )


def prepare(paths: Paths) -> None:
    """Create every folder, private whatever the umask. Raises NotWritable, which names the variable to set."""
    _refuse_links(paths)
    for folder, variable, mode in (
        (paths.state, "GAIA_HOME", passable() if paths.embedded else PRIVATE),
        (paths.releases, "GAIA_HOME", PRIVATE),
        (paths.logs, "GAIA_LOG_DIR", PRIVATE),
    ):
        try:
            private(folder, mode)
            os.close(os.open(folder / ".writable", os.O_CREAT | os.O_WRONLY, 0o600))
            (folder / ".writable").unlink()
        except OSError as error:
            raise NotWritable(
                f"{folder}: cannot be written ({error.strerror}); change its owner, or set {variable} to another folder"
            ) from error
    if paths.control.parent != paths.state:
        private(paths.control.parent)
    private(paths.caches)


def refuse_link(path: Path, variable: str) -> None:
    """Raise NotWritable for a symbolic link: what is written through it could hit any file of this account."""
    if path.is_symlink():
        raise NotWritable(
            f"{path}: is a symbolic link, through which nothing is written; put what it leads to in its place, "
            f"or set {variable} to another folder (which may be a link itself)"
        )


def _refuse_links(paths: Paths) -> None:
    for path in (paths.state, paths.releases, paths.deploy_lock, paths.supervise_lock, paths.journal, paths.journals,
                 paths.dumps, paths.caches):  # fmt: skip
        refuse_link(path, "GAIA_HOME")
    for path in (paths.logs, paths.ledger, paths.server_log, paths.candidate_log, paths.supervisor_log):
        refuse_link(path, "GAIA_LOG_DIR")


def home_identity(environment: Environment) -> str:
    """Return the identity of GAIA_HOME, which is made at its first use."""
    path = environment.home / "identity"
    if not path.exists():
        create(path.parent)
        draft = path.with_name(f".identity.{os.getpid()}.{threading.get_ident()}")
        draft.write_text(secrets.token_hex(6))
        with contextlib.suppress(FileExistsError):  # another command was faster
            os.link(draft, path)
        draft.unlink()
    return path.read_text()


def private(folder: Path, mode: int = PRIVATE) -> None:
    """Create `folder` and give it `mode`. Raises NotWritable when another account owns it."""
    create(folder, mode)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise NotWritable(f"{folder}: belongs to another account; remove it, or set GAIA_HOME to a folder of yours")
    folder.chmod(mode)


def create(folder: Path, mode: int = PRIVATE) -> None:
    """Create `folder` and its missing parents, none of them writable for others; leave what is there alone."""
    for missing in [one for one in (*reversed(folder.parents), folder) if not one.exists()]:
        missing.mkdir(mode, exist_ok=True)
        missing.chmod(mode)  # mkdir lets the umask take from it


def passable() -> int:
    """Return the mode of folders on the way to an embedded PostgreSQL, which root runs under another account."""
    return 0o711 if os.geteuid() == 0 else PRIVATE


def short_folder(wanted: Path) -> Path:
    """Return a folder path short enough for a Unix socket, derived from `wanted`."""
    digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]
    return Path(f"/tmp/gaia-{os.geteuid()}-{digest}")  # noqa: S108 - created with mode 0700, its owner is checked
