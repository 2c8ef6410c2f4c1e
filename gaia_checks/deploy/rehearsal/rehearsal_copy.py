"""The rehearsal copy: the target's release once more beside it, for looks that would hurt the live one.

It is an environment like any other, deployed by the same code as the target: its own file, supervisor, PostgreSQL,
ledger and lock, below the target's state. No secret of the target reaches it. What a killed gate left is removed by
`clear`; a copy whose gate still lives holds its lock and is left alone.

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

from gaia_checks import environment as environments
from gaia_checks import jsonl, toml
from gaia_checks.deploy import rollout
from gaia_checks.deploy.migrations import round_trip
from gaia_checks.deploy.postgres import database_connection, embedded
from gaia_checks.deploy.rehearsal import stand_in_release
from gaia_checks.deploy.release import release_folder, rollback_target
from gaia_checks.deploy.state import lock, paths
from gaia_checks.deploy.steps import swap
from gaia_checks.deploy.steps.preflight import SPARE_BYTES, validate_release
from gaia_checks.deploy.supervisor import spawn
from gaia_checks.environment import Environment
from gaia_checks.errors import Busy, ConfigurationError, Inconclusive, NotReady, NotWritable
from gaia_checks.model import Process, Target
from gaia_checks.redaction import SECRET_NAMES
from gaia_checks.target.unobservable import HERE, unseen

_COPIES = "copies"
_LOCK = "lock"
_RELEASES = 2  # the current and the previous one
_DATABASE_BYTES = 150_000_000  # an empty cluster, its write-ahead log, and two databases
_BACK_WITHIN_S = 30.0  # beside the time that the server itself may take
_POLL_S = 0.05


@dataclass(frozen=True)
class Copy:
    """A place beside the target where its releases are deployed, broken and gone back from."""

    environment: Environment  # its own
    origin: Environment
    run: str
    current: Path  # the release that the target runs
    twin: bool  # whether a twin of it may stand in where there is no previous one

    @property
    def target(self) -> Target:
        """What runs here now. Raises NotReady when nothing does."""
        now = rollout.status(self.environment)
        if now.process is None:
            raise NotReady(f"{self.environment.name}: its server does not run")
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
        """Return the release to go back to, and what it is in words.

        Raises ConfigurationError or ArtifactError when the target has none, or a damaged one.
        """
        try:
            return rollback_target.find(self.origin, None), "the previous release"
        except ConfigurationError:
            if not self.twin:
                raise
        made = stand_in_release.make(self.current, paths.of(self.environment).releases)
        return made, "a twin of the release (same code, other bytes; there is no previous one yet)"

    def deploy(self, release: Path) -> None:
        """Deploy what a release folder holds, as `rollout.deploy` does. Raises what that raises."""
        rollout.deploy(self.environment, artifact=release / "gaia_server", migrations=release / "migrations")

    def rollback(self) -> None:
        """Go back to what served before, as `rollout.rollback` does. Raises what that raises."""
        rollout.rollback(self.environment)

    def crash(self) -> None:
        """End server and PostgreSQL as a power cut does; return when both are back by themselves. Raises NotReady."""
        server, cluster = self.target.process, embedded.of(self.environment)
        if server is None or cluster is None:
            raise NotReady(f"{self.environment.name}: nothing runs that could be killed")
        cluster.kill()
        os.kill(server.pid, signal.SIGKILL)
        deadline = time.monotonic() + self.environment.server.ready_s + _BACK_WITHIN_S
        while not self._back_from(server):
            if time.monotonic() > deadline:
                raise NotReady(f"{self.environment.name}: the killed server did not come back by itself")
            time.sleep(_POLL_S)

    def _back_from(self, killed: Process) -> bool:
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
def beside(target: Target, environment: Environment, purpose: str, *, twin: bool = False) -> Iterator[Copy]:
    """Give an empty copy beside `target`, deployed in `environment`; all of it is ended and removed afterwards.

    Its supervisor and PostgreSQL run; a server does, once something is deployed. Raises Inconclusive where there can be
    no copy, and ConfigurationError or DeployError when this machine does not let one be.
    """
    current = _release(target, environment)
    folder = paths.of(environment).state / _COPIES / f"{purpose}-{secrets.token_hex(4)}"
    _make(folder, artifact_bytes=(current / "gaia_server").stat().st_size)
    with lock.hold(folder / _LOCK, environment=folder.name, why=purpose, since=jsonl.now()):
        try:
            file = folder / f"{environment.name}-rehearsal-{purpose}.toml"
            _describe(environment, file, handover=release_folder.takes_sockets(current))
            own = _load(file, ADMIN_TOKEN=secrets.token_urlsafe())
            paths.prepare(paths.of(own))
            swap.ensure_supervisor(own)
            yield Copy(own, environment, target.run, current, twin)
        finally:
            _remove(folder)


def clear(environment: Environment) -> tuple[str, ...]:
    """End and remove every copy whose gate was killed; return their names. Raises GaiaError when one stays."""
    return tuple(folder.name for folder in paths.of(environment).state.glob(f"{_COPIES}/*") if _cleared(folder))


def _cleared(folder: Path) -> bool:
    try:
        with lock.hold(folder / _LOCK, environment=folder.name, why="clear", since=jsonl.now()):
            _remove(folder)
    except (Busy, FileNotFoundError):  # its gate lives, or has just removed it
        return False
    return True


def _release(target: Target, environment: Environment) -> Path:
    """Return the folder of the release that the target runs. Raises Inconclusive, naming what stands against a copy."""
    no_copy, file = f"{environment.name}: there can be no rehearsal copy", environment.path.name
    if environment.database == "none":
        raise Inconclusive(f"{no_copy}: the server has no database; set environment.database in {file} to give it one")
    if environment.server.paths:
        raise Inconclusive(
            f"{no_copy}: server.paths in {file} says that the server keeps another contract; remove it if it does not"
        )
    release = rollout.status(environment).release_dir
    if target.release is None or release is None:
        raise Inconclusive(f"{no_copy}: {unseen(target, f'the release of {target.base_url}', HERE)}")
    validate_release(release)
    return release


def _make(folder: Path, *, artifact_bytes: int) -> None:
    """Make the copy's folder where there is room for it. Raises Inconclusive or NotWritable."""
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise NotWritable(f"{folder}: {error.strerror}; run the gate as the account that deploys") from error
    wanted, free = _RELEASES * 2 * artifact_bytes + _DATABASE_BYTES + SPARE_BYTES, shutil.disk_usage(folder).free
    if free < wanted:
        folder.rmdir()
        raise Inconclusive(
            f"{folder}: {free // 1_000_000} MB are free, a rehearsal copy needs {wanted // 1_000_000} MB; "
            "free some disk space"
        )


def _describe(environment: Environment, file: Path, *, handover: bool) -> None:
    """Write the copy's environment file: the target's, without its secrets, at an address of its own."""
    values = {name: value for name, value in environment.values.items() if name not in SECRET_NAMES}
    tables: dict[str, Mapping[str, toml.Value]] = {
        "environment": {"stage": environment.stage, "database": "embedded", "host": "127.0.0.1"},
        "environment.defaults": {**values, "PORT": str(spawn.free_port())},
        "server": {"handover": handover, "ready_s": environment.server.ready_s},
        "migrations": {"allow": sorted(environment.allowed)},
        **{f"contract.{kind}": called for kind, called in asdict(environment.names).items()},
    }
    new = file.with_suffix(".new")
    new.write_text(toml.document(tables))
    new.rename(file)


def _load(file: Path, **secrets_of_its_own: str) -> Environment:
    folder = file.parent
    places_of_its_own = {"GAIA_HOME": str(folder), "GAIA_LOG_DIR": str(folder / "log")}
    return environments.load(str(file), variables={**places_of_its_own, **secrets_of_its_own})


def _remove(folder: Path) -> None:
    """End whatever runs of a copy and remove it, also one that is only half made."""
    for own in map(_load, folder.glob("*.toml")):
        rollout.stop(own)
        if cluster := embedded.of(own):
            cluster.remove()
    release_folder.remove(folder)
