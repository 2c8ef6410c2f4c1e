"""From one running release to another, by way of the supervisor; and the end of everything that runs."""

import contextlib
import fcntl
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gaia_checks.deploy import artifact, embedded, observe, places, record, verify
from gaia_checks.deploy.control import Conversation
from gaia_checks.deploy.places import Places
from gaia_checks.deploy.prepare import environment_database
from gaia_checks.environment import ROOT, Environment, surroundings
from gaia_checks.errors import ConfigurationError, DeployError, GaiaError, VerifyError
from gaia_checks.model import Process, Target

_PATIENCE_S = 60.0
_POLL_S = 0.05


def ensure_supervisor(environment: Environment) -> None:
    """Return when a supervisor accepts commands. Raises what kept it from starting."""
    here = places.of(environment)
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), Conversation(here.control):
            return
        if not _held(here.supervise_lock):
            _start_supervisor(environment)
            return
        time.sleep(_POLL_S)  # it is starting or ending
    raise DeployError(f"{environment.name}: the supervisor does not answer; run: gaia stop {environment.name}")


def swap(environment: Environment, release: Path) -> None:
    """Start `release` beside what runs, verify it there, and let it take over.

    Raises NotReady or VerifyError; then the new server is gone and the old one serves.
    """
    with Conversation(places.of(environment).control) as supervisor:
        try:
            started = supervisor.ask(
                "start",
                release=str(release),
                variables=variables(environment),
                host=environment.host,
                port=environment.port,
            )
            process = Process(started["pid"], started["created_s"], release / "gaia_server")
            target = _target(environment, release, process, f"http://127.0.0.1:{started['private_port']}")
            verify.verify(target, release / "migrations")
        except BaseException:
            with contextlib.suppress(GaiaError):
                supervisor.ask("abort")
            raise
        supervisor.ask("commit")


def verify_or_return(environment: Environment, before: Path | None, say: Callable[[str], None]) -> None:
    """Verify what serves now; when it does not hold, bring back `before` and raise VerifyError."""
    try:
        verify_public(environment)
    except VerifyError as error:
        if before is None:
            raise
        say(f"not verified: {error}; bringing back {before.name}")
        swap(environment, before)
        verify_public(environment)
        raise VerifyError(f"{error}; {before.name} serves again") from error


def verify_public(environment: Environment) -> None:
    """Return when the public address is served, in health, by the release on record. Raises VerifyError."""
    now = observe.status(environment)
    if now.process is None or now.release_dir is None:
        raise VerifyError("identity: the server has ended; its log says why")
    target = _target(environment, now.release_dir, now.process, now.base_url)
    verify.identity(target)
    verify.health(target)


def already_serving(environment: Environment, release: Path) -> bool:
    """Whether a healthy server of the same executable and migrations runs, given the same variables."""
    now, wanted = observe.status(environment), artifact.describe(release)
    if now.state != "running" or now.release is None or now.base_url != environment.local_url:
        return False
    if (now.release.sha256, now.release.migrations) != (wanted.sha256, wanted.migrations):
        return False
    try:
        with Conversation(places.of(environment).control) as supervisor:
            if not supervisor.ask("holds", variables=variables(environment))["holds"]:
                return False
        verify_public(environment)
    except (OSError, VerifyError):
        return False
    return True


def end(environment: Environment) -> None:
    """End server, supervisor and embedded PostgreSQL, also those that a killed supervisor left; wait for it."""
    here = places.of(environment)
    with contextlib.suppress(OSError, DeployError), Conversation(here.control) as supervisor:
        supervisor.ask("stop")
    deadline = time.monotonic() + _PATIENCE_S
    while _held(here.supervise_lock) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    if found := record.read(here.record):
        found.supervisor.end()
        if found.server:
            found.server.end()
    if cluster := embedded.of(environment):
        cluster.stop()
    _sweep(here)


def variables(environment: Environment) -> dict[str, str]:
    """Return everything that the server gets, and it gets nothing else."""
    return {**surroundings(), **environment.variables(), "DATABASE_URL": environment_database(environment)}


def _target(environment: Environment, release: Path, process: Process, url: str) -> Target:
    return Target(
        environment=environment.name,
        base_url=url,
        run="deploy",
        release=artifact.read(release),
        process=process,
        admin_token=environment.values.get("ADMIN_TOKEN"),
        database_url=environment_database(environment),
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
