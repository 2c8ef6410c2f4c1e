"""From one running release to another, by way of the supervisor; and the end of everything that runs."""

import contextlib
import fcntl
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gaia_checks.deploy.postgres import embedded
from gaia_checks.deploy.postgres.dsn import database_url
from gaia_checks.deploy.release import release_folder
from gaia_checks.deploy.reporting import status
from gaia_checks.deploy.state import ledger, paths, processes, supervisor_state
from gaia_checks.deploy.state.checkpoints import Checkpoint
from gaia_checks.deploy.state.paths import Places
from gaia_checks.deploy.steps import verify
from gaia_checks.deploy.steps.deployment import Deployment
from gaia_checks.deploy.supervisor.control import Conversation
from gaia_checks.deploy.supervisor.server_process import MARK, ServerSpec
from gaia_checks.environment import ROOT, Environment, surroundings
from gaia_checks.errors import ConfigurationError, DeployError, VerifyError
from gaia_checks.model import Names, Process, Target

_PATIENCE_S = 60.0
_POLL_S = 0.05


def swap(environment: Environment, release: Path, story: Deployment) -> float:
    """Let `release` take over from what runs; return for how many milliseconds nobody served, 0.0 with hand-over.

    It is verified twice before: alone on a loopback port, and where only we see it. Raises NotReady or VerifyError.
    """
    with _conversation(environment) as supervisor:
        with story.at(Checkpoint.CANDIDATE):
            candidate = _start(supervisor, environment, release, candidate=True)
        with story.at(Checkpoint.CANDIDATE_VERIFY):
            _verify(environment, candidate)
        with story.at(Checkpoint.CANDIDATE_END):
            supervisor.ask("abort")
        beside = supervisor.ask("serving", order=_order(environment, release))["beside"]
        gone = time.monotonic()
        if not beside:
            with story.at(Checkpoint.MAKE_ROOM):
                supervisor.ask("make_room")
        with story.at(Checkpoint.START):
            started = _start(supervisor, environment, release)
        outage_ms = 0.0 if beside else (time.monotonic() - gone) * 1000
        with story.at(Checkpoint.CHECK):
            _verify(environment, started)
        with story.at(Checkpoint.TAKE_OVER):
            supervisor.ask("commit")
        with story.at(Checkpoint.RETIRE):
            supervisor.ask("retire")
    return outage_ms


def bring_back(environment: Environment, release: Path, *, anew: bool) -> None:
    """Let `release`, which has served before, serve again; unless `anew`, one that still does is left alone.

    It need not be well, as it may depend on what just failed: it is enough that it answers.
    """
    ensure_supervisor(environment)
    order = _order(environment, release)
    with _conversation(environment) as supervisor:
        found = supervisor.ask("serving", order=order)
        if found["release"] == str(release) and not anew:
            return
        if not found["beside"]:
            supervisor.ask("make_room")
        _start(supervisor, environment, release, known=True)
        supervisor.ask("commit")
        supervisor.ask("retire")


def ensure_supervisor(environment: Environment) -> None:
    """Return when a supervisor accepts commands; a new one adopts the server that it finds. Raises what kept it."""
    here = paths.of(environment)
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), Conversation(here.control):
            return
        if not _held(here.supervise_lock):
            _start_supervisor(environment)
            return
        time.sleep(_POLL_S)  # it is starting or ending
    raise DeployError(f"{environment.name}: the supervisor does not answer; run: gaia stop {environment.name}")


def verify_public(environment: Environment) -> None:
    """Return when the public address is served, as promised, by the release on record. Raises VerifyError."""
    now = status.status(environment)
    if now.process is None or now.release_dir is None:
        raise VerifyError("identity: the server has ended; its log says why")
    _verify(environment, _target(environment, now.release_dir, now.process, now.base_url))


def verify_alone(environment: Environment, release: Path, *, database: str, ahead: frozenset[str]) -> None:
    """Return when `release` keeps its promises on another database. Raises NotReady or VerifyError."""
    with _conversation(environment) as supervisor:
        alone = _start(supervisor, environment, release, candidate=True, database=database)
        verify.verify(replace(alone, database_url=database), environment.server, ahead=ahead)


def already_serving(environment: Environment, release: Path) -> bool:
    """Whether a healthy server of this very release runs, given the same variables.

    The same files under another phase or commit are another release: what runs is on record as what it was deployed as.
    """
    now = status.status(environment)
    if now.state != "running" or now.release_dir != release or now.base_url != environment.local_url:
        return False
    try:
        with Conversation(paths.of(environment).control) as supervisor:
            if not supervisor.ask("holds", variables=variables(environment))["holds"]:
                return False
        verify_public(environment)
    except (OSError, VerifyError):
        return False
    return True


def end(environment: Environment) -> None:
    """End server, supervisor and embedded PostgreSQL, also those that a killed supervisor left; wait for it."""
    here = paths.of(environment)
    with contextlib.suppress(OSError, DeployError), Conversation(here.control) as supervisor:
        supervisor.ask("stop")
    deadline = time.monotonic() + _PATIENCE_S
    while _held(here.supervise_lock) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    if found := supervisor_state.read(here.record):
        found.supervisor.end()
        if found.server:
            found.server.end()
    for pid, birth in processes.marked(MARK, here.caches):
        processes.end(pid, birth)
    if cluster := embedded.of(environment):
        cluster.stop()
    _sweep(here)


def variables(environment: Environment) -> dict[str, str]:
    """Return everything that the server gets, and it gets nothing else."""
    database = database_url(environment)
    given = {**surroundings(), **environment.variables()}
    return {**given, "DATABASE_URL": database} if database else given


@contextmanager
def _conversation(environment: Environment) -> Iterator[Conversation]:
    try:
        conversation = Conversation(paths.of(environment).control)
    except OSError as error:
        raise DeployError(f"{environment.name}: the supervisor has died; run the command again") from error
    with conversation:
        yield conversation


def _start(
    supervisor: Conversation,
    environment: Environment,
    release: Path,
    *,
    candidate: bool = False,
    known: bool = False,
    database: str | None = None,
) -> Target:
    """Start a server by the supervisor and return it as something to look at."""
    order = _order(environment, release)
    if database:
        order["variables"]["DATABASE_URL"] = database
    started: dict[str, Any] = supervisor.ask("start", order=order, candidate=candidate, known=known)
    process = Process(**started["running"], artifact=release / "gaia_server")
    return _target(environment, release, process, f"http://127.0.0.1:{started['port']}")


def _order(environment: Environment, release: Path) -> dict[str, Any]:
    server = environment.server
    order = ServerSpec(
        *(release, variables(environment), environment.host, environment.port),
        *(release_folder.takes_sockets(release), server.paths or _renamed(environment.names), server.ready_s),
    )
    return {**asdict(order), "release": str(release)}


def _renamed(names: Names) -> tuple[str, ...]:
    """Return what a server under other names is asked for, to know whether it is ready; empty: the contract's paths."""
    return tuple(names.paths[path] for path in ("/readyz", "/health") if path in names.paths)[:1]


def _verify(environment: Environment, target: Target) -> None:
    verify.verify(target, environment.server, ahead=ledger.migrated(environment))


def _target(environment: Environment, release: Path, process: Process, url: str) -> Target:
    return Target(
        environment=environment.name,
        base_url=url,
        run="deploy",
        names=environment.names,
        release=release_folder.read(release),
        process=process,
        admin_token=environment.values.get("ADMIN_TOKEN"),
        database_url=database_url(environment),
    )


def _start_supervisor(environment: Environment) -> None:
    """Run `gaia supervise`: it goes into the background itself. No secret is among its variables."""
    done = subprocess.run(
        (sys.executable, "-m", "gaia_checks.cli", "supervise", str(environment.path)),
        cwd=ROOT,
        env={**surroundings(), "GAIA_HOME": str(environment.home), "GAIA_LOG_DIR": str(environment.log_dir)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2].removeprefix("gaia: ")
        kind = ConfigurationError if done.returncode == ConfigurationError.exit_code else DeployError
        raise kind(said or f"the supervisor did not start: exit code {done.returncode}")


def _held(lock: Path) -> bool:
    """Whether a process holds the lock file."""
    try:
        with lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _sweep(here: Places) -> None:
    """Remove what only running things need."""
    here.record.unlink(missing_ok=True)
    here.control.unlink(missing_ok=True)
    shutil.rmtree(here.caches, ignore_errors=True)
    if here.control.parent != here.state:
        with contextlib.suppress(OSError):  # an embedded PostgreSQL may have its socket there
            here.control.parent.rmdir()
