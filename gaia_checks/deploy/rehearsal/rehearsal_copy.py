"""The rehearsal copy: a second deployment of the target's release, for probes that would harm the live one.

It is a normal environment below the target's state, deployed by the same code, with its own file, supervisor,
PostgreSQL, ledger and lock. It receives no secret of the target. `clear` removes the rehearsal copies of killed gates;
a running gate locks its rehearsal copy.

    <state>/copies/<purpose>-<hex digits>/lock
                                          <environment>-rehearsal-<purpose>.toml
                                          <environment>-rehearsal-<purpose>/    its state
                                          releases/  log/
"""

import contextlib
import os
import secrets
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import tomli_w

from gaia_checks import files, jsonl
from gaia_checks.deploy import rollout
from gaia_checks.deploy.migrations import round_trip
from gaia_checks.deploy.postgres import database_connection, embedded
from gaia_checks.deploy.rehearsal import stand_in_release
from gaia_checks.deploy.release import release_folder, rollback_target
from gaia_checks.deploy.state import lock, paths
from gaia_checks.deploy.steps import swap
from gaia_checks.deploy.steps.preflight import SPARE_BYTES, validate_release
from gaia_checks.deploy.supervisor import spawn
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import Busy, ConfigurationError, Inconclusive, NotReady, NotWritable
from gaia_checks.model import Process, Target
from gaia_checks.redaction import SECRET_NAMES
from gaia_checks.target.unobservable import HERE, cannot_observe

_COPIES = "copies"
_LOCK = "lock"
_RELEASES = 2  # the current and the previous one
_DATABASE_BYTES = 150_000_000  # an empty cluster, its write-ahead log, and two databases
_RECOVERY_S = 30.0  # in addition to the server's own start-up limit
_POLL_S = 0.05


@dataclass(frozen=True)
class RehearsalCopy:
    """An environment beside the target in which its releases are deployed, crashed and rolled back."""

    environment: Environment  # its own
    origin: Environment
    run: str
    current: Path  # the release that the target runs
    stand_in: bool  # whether a stand-in release may replace a missing previous one

    @property
    def target(self) -> Target:
        """The running server of the rehearsal copy. Raises NotReady without one."""
        now = rollout.status(self.environment)
        if now.process is None:
            raise NotReady(f"{self.environment.name}: its server is not running")
        return Target(
            environment=self.environment.name,
            base_url=now.base_url,
            run=self.run,
            release=now.release,
            process=now.process,
            log=now.log,
            names=self.environment.names,
            admin_token=self.environment.values["ADMIN_TOKEN"],
            database_url=now.database_url,
        )

    def before(self) -> tuple[Path, str]:
        """Return the rollback target and its description.

        Raises ConfigurationError when the target has none, ArtifactError when it is damaged.
        """
        try:
            return rollback_target.find(self.origin, None), "the previous release"
        except ConfigurationError:
            if not self.stand_in:
                raise
        made = stand_in_release.make(self.current, paths.of(self.environment).releases)
        return made, "a stand-in release (same code, other bytes; there is no previous release yet)"

    def deploy(self, release: Path) -> None:
        """Deploy a release folder with `rollout.deploy`, and raise its errors."""
        rollout.deploy(self.environment, artifact=release / "gaia_server", migrations=release / "migrations")

    def rollback(self) -> None:
        """Roll back with `rollout.rollback`, and raise its errors."""
        rollout.rollback(self.environment)

    def crash(self) -> None:
        """Kill server and PostgreSQL; return when both have restarted by themselves. Raises NotReady."""
        server, cluster = self.target.process, embedded.of(self.environment)
        if server is None or cluster is None:
            raise NotReady(f"{self.environment.name}: no server or PostgreSQL is running")
        cluster.kill()
        os.kill(server.pid, signal.SIGKILL)
        deadline = time.monotonic() + self.environment.server.ready_s + _RECOVERY_S
        while not self._restarted_after(server):
            if time.monotonic() > deadline:
                raise NotReady(f"{self.environment.name}: the killed server did not restart by itself")
            time.sleep(_POLL_S)

    def _restarted_after(self, killed: Process) -> bool:
        now = rollout.status(self.environment)
        if now.state != "running" or now.process in (None, killed) or now.database_url is None:
            return False
        with contextlib.suppress(ConfigurationError):
            database_connection.reach(now.database_url)
            return True
        return False

    def irreversible(self) -> tuple[str, ...]:
        """Return what the current release's rollback files do not undo, one sentence each. Raises MigrationError."""
        return round_trip.tried(self.environment, self.current / "migrations")


@contextmanager
def beside(
    target: Target, environment: Environment, purpose: str, *, stand_in: bool = False, **variables: str
) -> Iterator[RehearsalCopy]:
    """Yield an empty rehearsal copy beside `target`, deployed in `environment`; stop and remove it afterwards.

    Its servers get further `variables`.

    Its supervisor and PostgreSQL run; a server runs after a deployment. Raises Inconclusive where a rehearsal copy is
    impossible, ConfigurationError or DeployError when creating it fails.
    """
    with room(target, environment, purpose, **variables) as (own, current):
        swap.ensure_supervisor(own)
        yield RehearsalCopy(own, environment, target.run, current, stand_in)


@contextmanager
def room(
    target: Target, environment: Environment, purpose: str, **variables: str
) -> Iterator[tuple[Environment, Path]]:
    """Yield the environment of a new rehearsal copy, in which nothing runs, and the target's release.

    Everything that runs there is stopped and removed afterwards. Raises what `beside` raises.
    """
    current = _release(target, environment)
    folder = paths.of(environment).state / _COPIES / f"{purpose}-{secrets.token_hex(4)}"
    _make(folder, artifact_bytes=(current / "gaia_server").stat().st_size)
    with lock.hold(folder / _LOCK, environment=folder.name, why=purpose, since=jsonl.now()):
        try:
            file = folder / f"{environment.name}-rehearsal-{purpose}.toml"
            _write_environment(environment, file, variables, handover=release_folder.takes_sockets(current))
            own = _load(file, ADMIN_TOKEN=secrets.token_urlsafe())
            paths.prepare(paths.of(own))
            yield own, current
        finally:
            _remove(folder)


def clear(environment: Environment) -> tuple[str, ...]:
    """Stop and remove the rehearsal copies of killed gates; return their names. Raises GaiaError on a failure."""
    return tuple(folder.name for folder in paths.of(environment).state.glob(f"{_COPIES}/*") if _clear_one(folder))


def _clear_one(folder: Path) -> bool:
    try:
        with lock.hold(folder / _LOCK, environment=folder.name, why="clear", since=jsonl.now()):
            _remove(folder)
    except (Busy, FileNotFoundError):  # its gate is running, or has just removed it
        return False
    return True


def _release(target: Target, environment: Environment) -> Path:
    """Return the folder of the target's release. Raises Inconclusive with the reason against a rehearsal copy."""
    no_copy, file = f"{environment.name}: a rehearsal copy is impossible", environment.path.name
    if environment.database == "none":
        raise Inconclusive(f"{no_copy}: the server has no database; set environment.database in {file} to give it one")
    if environment.server.paths:
        raise Inconclusive(f"{no_copy}: server.paths in {file} declares another contract; remove it if that is wrong")
    release = rollout.status(environment).release_dir
    if target.release is None or release is None:
        raise Inconclusive(f"{no_copy}: {cannot_observe(target, f'the release of {target.base_url}', HERE)}")
    validate_release(release)
    return release


def _make(folder: Path, *, artifact_bytes: int) -> None:
    """Create the folder of the rehearsal copy, if there is enough space. Raises Inconclusive or NotWritable."""
    try:
        paths.create(folder, paths.passable())
    except OSError as error:
        raise NotWritable(f"{folder}: {error.strerror}; run the gate as the account that deploys") from error
    needed, free = _RELEASES * 2 * artifact_bytes + _DATABASE_BYTES + SPARE_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        folder.rmdir()
        raise Inconclusive(
            f"{folder}: {free // 1_000_000} MB are free, a rehearsal copy needs {needed // 1_000_000} MB; "
            "free some disk space"
        )


def _write_environment(environment: Environment, file: Path, variables: Mapping[str, str], *, handover: bool) -> None:
    """Write the environment file: that of the target, without its secrets, and with another address."""
    values = {name: value for name, value in environment.values.items() if name not in SECRET_NAMES}
    names = asdict(environment.names)
    if names.pop("adapter"):
        files.replace(file.with_name("adapter.py"), environment.names.adapter)
        names["adapter"] = "adapter.py"
    tables = {
        "environment": {
            "stage": environment.stage,
            "database": "embedded",
            "host": "127.0.0.1",
            "defaults": {**values, **variables, "PORT": str(spawn.free_port())},
        },
        "server": {"handover": handover, "ready_s": environment.server.ready_s},
        "migrations": {"allow": sorted(environment.allowed)},
        "contract": names,
    }
    files.replace(file, tomli_w.dumps(tables))


def _load(file: Path, **own_secrets: str) -> Environment:
    folder = file.parent
    own_folders = {"GAIA_HOME": str(folder), "GAIA_LOG_DIR": str(folder / "log")}
    return environment_file.load(str(file), variables={**own_folders, **own_secrets})


def _remove(folder: Path) -> None:
    """Stop and remove a rehearsal copy, even a partial one."""
    for own in map(_load, folder.glob("*.toml")):
        rollout.stop(own)
        if cluster := embedded.of(own):
            cluster.remove()
    release_folder.remove(folder)
