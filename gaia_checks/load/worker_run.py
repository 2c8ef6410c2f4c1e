"""Runs one worker of a gate's load: waits for the gate's master, then locust sends this worker's part.

The worker takes the rate, the target and the gate's temporary key from the master, and no code: its mix and its adapter
are files of this machine. Its admin token is its own, and goes only to a target that it was given itself.
"""

import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from gaia_checks.contract import translator
from gaia_checks.environment.environment import MASTER_PORT
from gaia_checks.environment.process_variables import of_load_worker, surroundings
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import ConfigurationError, Inconclusive
from gaia_checks.load.load_run import LOCUSTFILES
from gaia_checks.model import Log

_WAIT_S = 3600.0  # for the gate's load: probes and browser come before it
_EVERY_S = 1.0
_CONNECT_S = 2.0


def address(text: str) -> tuple[str, int]:
    """Return host and port of a master. Raises ConfigurationError."""
    host, _, port = text.rpartition(":") if ":" in text else (text, "", str(MASTER_PORT))
    if not host or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigurationError(f"--master: {text!r} is no HOST or HOST:PORT; write e.g. gate-1:{MASTER_PORT}")
    return host, int(port)


def command(host: str, port: int, locustfile: Path = LOCUSTFILES["load"]) -> tuple[str, ...]:
    """Return locust's command line. Pure."""
    return (
        sys.executable, "-m", "locust", "--locustfile", str(locustfile), "--worker", "--master-host", host,
        "--master-port", str(port), "--loglevel", "WARNING",
    )  # fmt: skip


def run(master: str, *, locustfile: Path | None, target: str | None, adapter: Path | None = None, log: Log) -> int:
    """Wait for the master of a load, then become the locust worker that sends a part of it.

    Its exit code is 0 when it sent its part until the master stopped the load, 4 when the master refused it, else 8.
    Returns 8 when no load started. Raises ConfigurationError for an invalid address, for an admin token without the
    target that it is for, and for an adapter that cannot be used.
    """
    host, port = address(master)
    token = of_load_worker()
    if target and (not target.startswith(("http://", "https://")) or "@" in target):
        raise ConfigurationError("--target: no http URL without user and password; write e.g. https://qa:8080")
    if token and not target:
        raise ConfigurationError(
            "GAIA_ADMIN_TOKEN is set: name the target that it may be sent to, e.g. --target https://qa:8080"
        )
    log(f"waiting for the load of a gate at {host}:{port}")
    variables = {"PYTHONPATH": str(ROOT), **surroundings()}
    if target:
        variables |= {"GAIA_TARGET": target} | ({"GAIA_ADMIN_TOKEN": token} if token else {})
    if adapter:
        variables["GAIA_NAMES"] = json.dumps({"adapter": translator.read("--adapter", adapter)})
    if _listens(host, port):
        _become(command(host, port, locustfile or LOCUSTFILES["load"]), variables)
    log(f"no load started at {host}:{port} within {_WAIT_S:.0f} s")
    return Inconclusive.exit_code


def _become(argv: tuple[str, ...], variables: Mapping[str, str]) -> NoReturn:
    """Run a program in place of this one, so that signals reach it, and its exit code is the command's."""
    os.execve(argv[0], argv, variables)  # noqa: S606 - this installation's own Python


def _listens(host: str, port: int) -> bool:
    """Return whether a master listens, now or within an hour; a name may be known only later."""
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, port), _CONNECT_S).close()
        except OSError:
            time.sleep(_EVERY_S)
        else:
            return True
    return False
