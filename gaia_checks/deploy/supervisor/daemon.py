"""The supervisor daemon: it alone binds the public socket, starts servers on it and restarts a crashed one.

One process per environment, in its own session, with a lock and a control socket. This module daemonizes, takes the
lock and runs the embedded PostgreSQL; `supervisor` manages the servers.
"""

import asyncio
import contextlib
import json
import os
import traceback
from collections.abc import Callable
from pathlib import Path

from gaia_checks import errors, files
from gaia_checks.deploy.postgres import embedded
from gaia_checks.deploy.postgres.embedded import Cluster
from gaia_checks.deploy.state import paths
from gaia_checks.deploy.state.deployment_journal import OnCheckpoint
from gaia_checks.deploy.supervisor import backoff
from gaia_checks.deploy.supervisor.control import encode
from gaia_checks.deploy.supervisor.supervisor import Supervisor, log_line
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import Busy, DeployError, GaiaError

_POLL_S = 1.0


def supervise(environment: Environment, on_checkpoint: OnCheckpoint = lambda _checkpoint, _event: None) -> None:
    """Daemonize and supervise; return in the foreground when the daemon accepts commands.

    Raises the error that prevented its start.
    """
    here = paths.of(environment)
    paths.prepare(here)
    read_end, write_end = os.pipe()
    if os.fork():
        os.close(write_end)
        _wait_until_ready(read_end)
        return
    os.close(read_end)
    code = 1
    try:
        _detach(here.supervisor_log)
        _run(environment, Supervisor(here, on_checkpoint), lambda: _announce(write_end, {}))
        code = 0
    except GaiaError as error:
        log_line(f"failed: {error}")
        _announce(write_end, {"error": str(error), "kind": type(error).__name__})
    except Exception:  # noqa: BLE001 - os._exit prints no traceback
        traceback.print_exc()
    finally:
        os._exit(code)  # skip the exit handlers of the foreground process


def _wait_until_ready(descriptor: int) -> None:
    with os.fdopen(descriptor) as pipe:
        line = pipe.readline()
    if not line:
        raise DeployError("the supervisor exited during its start; see its log")
    answer = json.loads(line)
    if answer:
        raise getattr(errors, answer["kind"])(answer["error"])


def _announce(descriptor: int, answer: dict[str, str]) -> None:
    with contextlib.suppress(OSError):  # announced already, or the foreground process has exited
        os.write(descriptor, encode(answer))
        os.close(descriptor)


def _detach(log: Path) -> None:
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(output)
    os.close(nothing)


def _run(environment: Environment, supervisor: Supervisor, ready: Callable[[], None]) -> None:
    """Take the lock, run the embedded PostgreSQL, and serve commands until `stop`."""
    with paths.of(environment).supervise_lock.open("w") as lock:
        if not files.try_lock(lock):
            raise Busy(f"{environment.name}: a supervisor is already running; run: gaia stop {environment.name}")
        cluster = embedded.of(environment)
        try:
            if cluster:
                cluster.start()
            asyncio.run(_serve(supervisor, cluster, ready))
        finally:
            if cluster:
                cluster.stop()  # the record stays, so that `repair` can restart the release after a reboot


async def _serve(supervisor: Supervisor, cluster: Cluster | None, ready: Callable[[], None]) -> None:
    restarter = asyncio.create_task(_restart_on_exit(cluster)) if cluster else None
    try:
        await supervisor.serve(ready)
    finally:
        if restarter:
            restarter.cancel()
            await asyncio.wait([restarter])


async def _restart_on_exit(cluster: Cluster) -> None:
    """Restart PostgreSQL whenever it exits by itself."""
    crashes = 0
    while True:
        await asyncio.sleep(_POLL_S)
        if cluster.alive():
            continue
        crashes += 1
        log_line(f"PostgreSQL has exited; restarting it in {backoff.delay_s(crashes):g} s")
        await asyncio.sleep(backoff.delay_s(crashes))
        try:
            await asyncio.to_thread(cluster.start)
        except (GaiaError, OSError) as error:  # e.g. a full disk: the next round retries
            log_line(str(error))
