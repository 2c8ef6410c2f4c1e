"""Swap one running release for another by commands to the supervisor, and stop everything that runs."""

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gaia_checks import files
from gaia_checks.deploy.postgres import embedded
from gaia_checks.deploy.postgres.dsn import database_url
from gaia_checks.deploy.release import release_folder
from gaia_checks.deploy.reporting import status
from gaia_checks.deploy.state import deployment_ledger, paths, processes, supervisor_state
from gaia_checks.deploy.state.checkpoints import Checkpoint
from gaia_checks.deploy.state.paths import Paths
from gaia_checks.deploy.steps import verify
from gaia_checks.deploy.steps.deployment import Deployment
from gaia_checks.deploy.supervisor import listening_socket
from gaia_checks.deploy.supervisor.control import ControlConnection
from gaia_checks.deploy.supervisor.supervised_server import MARK, ServerSpec
from gaia_checks.environment.environment import Environment
from gaia_checks.environment.process_variables import of_libpq, surroundings
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import ConfigurationError, DeployError, VerifyError
from gaia_checks.model import Log, Names, Process, Target

SUPERVISE: tuple[str, ...] = (sys.executable, "-m", "gaia_checks.cli", "supervise")
"""The command that starts a supervisor, without the environment file."""

_TIMEOUT_S = 60.0
_POLL_S = 0.05


def swap(environment: Environment, release: Path, deployment: Deployment, log: Log) -> float:
    """Let `release` take over from the running one; return the outage in milliseconds, 0.0 with hand-over.

    It is verified twice before: as a candidate on a loopback port, and on its private socket. Raises NotReady or
    VerifyError.
    """
    with _connect(environment) as supervisor:
        candidate_start = time.monotonic()
        with deployment.at(Checkpoint.CANDIDATE):
            candidate = _start(supervisor, environment, release, candidate=True)
        start_s = time.monotonic() - candidate_start
        with deployment.at(Checkpoint.CANDIDATE_VERIFY):
            _verify(environment, candidate)
        with deployment.at(Checkpoint.CANDIDATE_END):
            supervisor.request("abort")
        serving = supervisor.request("serving", order=_spec(environment, release))
        beside = serving["beside"]
        if serving.get("kept") and not beside:  # a supervisor that was started before an upgrade does not say it
            announced = f"requests are refused for about {start_s:.1f} s: {listening_socket.KEPT}"
            deployment.record(Checkpoint.MAKE_ROOM, "announced", outage=announced)
            log(f"{environment.name}: {announced}")
        outage_start = time.monotonic()
        if not beside:
            with deployment.at(Checkpoint.MAKE_ROOM):
                supervisor.request("make_room")
        with deployment.at(Checkpoint.START):
            started = _start(supervisor, environment, release)
        outage_ms = 0.0 if beside else (time.monotonic() - outage_start) * 1000
        with deployment.at(Checkpoint.CHECK):
            _verify(environment, started)
        with deployment.at(Checkpoint.TAKE_OVER):
            supervisor.request("commit")
        with deployment.at(Checkpoint.RETIRE):
            supervisor.request("retire")
    return outage_ms


def bring_back(environment: Environment, release: Path, *, restart: bool) -> float:
    """Let `release`, which has served before, serve again; unless `restart`, leave it alone if it still serves.

    Returns the outage in milliseconds, 0.0 with hand-over or where it still serves. It need not be ready, as it may
    depend on what just failed: any answer is enough.
    """
    ensure_supervisor(environment)
    spec = _spec(environment, release)
    with _connect(environment) as supervisor:
        serving = supervisor.request("serving", order=spec)
        if serving["release"] == str(release) and not restart:
            return 0.0
        outage_start = time.monotonic()
        if not serving["beside"]:
            supervisor.request("make_room")
        _start(supervisor, environment, release, known=True)
        outage_ms = 0.0 if serving["beside"] else (time.monotonic() - outage_start) * 1000
        supervisor.request("commit")
        supervisor.request("retire")
    return outage_ms


def ensure_supervisor(environment: Environment) -> None:
    """Start a supervisor unless one accepts commands; a new one adopts a running server. Raises its start error."""
    here = paths.of(environment)
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), ControlConnection(here.control):
            return
        if not _locked(here.supervise_lock):
            _start_supervisor(environment)
            return
        time.sleep(_POLL_S)  # it is starting or stopping
    raise DeployError(f"{environment.name}: the supervisor does not answer; run: gaia stop {environment.name}")


def verify_public(environment: Environment) -> None:
    """Verify the recorded release at its public address. Raises VerifyError."""
    now = status.status(environment)
    if now.process is None or now.release_dir is None:
        raise VerifyError("identity: the server has exited; see its log")
    _verify(environment, _target(environment, now.release_dir, now.process, now.base_url))


def verify_candidate(environment: Environment, release: Path, *, database: str, ahead: frozenset[str]) -> None:
    """Verify `release` as a candidate on another database. Raises NotReady or VerifyError."""
    with _connect(environment) as supervisor:
        candidate = _start(supervisor, environment, release, candidate=True, database=database)
        verify.verify(replace(candidate, database_url=database), environment.server, ahead=ahead)


def already_serving(environment: Environment, release: Path) -> bool:
    """Whether a healthy server of this release runs with the same variables.

    The same files under another phase or commit are another release: the record names the one that was deployed.
    """
    now = status.status(environment)
    if now.state != "running" or now.release_dir != release or now.base_url != environment.local_url:
        return False
    try:
        with ControlConnection(paths.of(environment).control) as supervisor:
            if not supervisor.request("holds", variables=variables(environment))["holds"]:
                return False
        verify_public(environment)
    except (OSError, VerifyError):
        return False
    return True


def end(environment: Environment) -> None:
    """Stop server, supervisor and embedded PostgreSQL, also those of a killed supervisor, and wait for their exit."""
    here = paths.of(environment)
    with contextlib.suppress(OSError, DeployError), ControlConnection(here.control) as supervisor:
        supervisor.request("stop")
    deadline = time.monotonic() + _TIMEOUT_S
    while _locked(here.supervise_lock) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    if recorded := supervisor_state.read(here.record):
        recorded.supervisor.end()
        if recorded.server:
            recorded.server.end()
    for pid, birth in processes.marked(MARK, here.caches):
        processes.end(pid, birth)
    if cluster := embedded.of(environment):
        cluster.stop()
    _remove_runtime_files(here)


def variables(environment: Environment) -> dict[str, str]:
    """Return the complete environment variables of the server."""
    database = database_url(environment)
    values = {**surroundings(), **environment.variables()}
    if environment.database == "external":
        values |= of_libpq()
    return {**values, "DATABASE_URL": database} if database else values


@contextmanager
def _connect(environment: Environment) -> Iterator[ControlConnection]:
    try:
        connection = ControlConnection(paths.of(environment).control)
    except OSError as error:
        raise DeployError(f"{environment.name}: the supervisor has died; run the command again") from error
    with connection:
        yield connection


def _start(
    supervisor: ControlConnection,
    environment: Environment,
    release: Path,
    *,
    candidate: bool = False,
    known: bool = False,
    database: str | None = None,
) -> Target:
    """Start a server through the supervisor and return it as a target."""
    spec = _spec(environment, release)
    if database:
        spec["variables"]["DATABASE_URL"] = database
    started: dict[str, Any] = supervisor.request("start", order=spec, candidate=candidate, known=known)
    process = Process(**started["running"], artifact=release / "gaia_server")
    return _target(environment, release, process, f"http://127.0.0.1:{started['port']}")


def _spec(environment: Environment, release: Path) -> dict[str, Any]:
    server = environment.server
    spec = ServerSpec(
        *(release, variables(environment), environment.host, environment.port),
        *(release_folder.takes_sockets(release), server.paths or _renamed(environment.names), server.ready_s),
    )
    return {**asdict(spec), "release": str(release)}


def _renamed(names: Names) -> tuple[str, ...]:
    """Return the renamed readiness path of a server; empty: the contract's paths."""
    return tuple(names.paths[path] for path in ("/readyz", "/health") if path in names.paths)[:1]


def _verify(environment: Environment, target: Target) -> None:
    verify.verify(target, environment.server, ahead=deployment_ledger.migrated(environment))


def _target(environment: Environment, release: Path, process: Process, url: str) -> Target:
    return Target(
        environment=environment.name,
        base_url=url,
        run="deploy",
        names=environment.names,
        release=release_folder.read(release),
        process=process,
        admin_token=environment.admin_token,
        database_url=database_url(environment),
    )


def _start_supervisor(environment: Environment) -> None:
    """Run `gaia supervise`, which daemonizes itself. Its variables include no secret."""
    done = subprocess.run(
        (*SUPERVISE, str(environment.path)),
        cwd=ROOT,
        env={**surroundings(), "GAIA_HOME": str(environment.home), "GAIA_LOG_DIR": str(environment.log_dir)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        message = done.stderr.strip().rpartition("\n")[2].removeprefix("gaia: ")
        kind = ConfigurationError if done.returncode == ConfigurationError.exit_code else DeployError
        raise kind(message or f"the supervisor did not start: exit code {done.returncode}")


def _locked(lock: Path) -> bool:
    """Whether a process has locked the file."""
    try:
        with lock.open("r+") as file:
            return not files.try_lock(file)
    except FileNotFoundError:
        return False


def _remove_runtime_files(here: Paths) -> None:
    """Remove the files that only running processes need."""
    here.record.unlink(missing_ok=True)
    here.control.unlink(missing_ok=True)
    shutil.rmtree(here.caches, ignore_errors=True)
    if here.control.parent != here.state:
        with contextlib.suppress(OSError):  # not empty: an embedded PostgreSQL may have its socket there
            here.control.parent.rmdir()
