"""Commands that end when a proof is interrupted: each in a session of its own, stopped as Ctrl-C would."""

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gaia_checks.environment.process_variables import inherited
from gaia_checks.errors import GaiaError

LIMIT_S = 300.0
"""A command that takes longer hangs."""

_CLOSE_S = 60.0  # how long an interrupted gate may take to stop what it started
_POLL_S = 0.1
_OWN = ("GAIA", "PYTEST", "PG", "DATABASE_URL", "ADMIN_TOKEN")
"""Variables of whoever proves: no trial reaches their database or folders."""


class Interrupted(GaiaError):
    """The proof was interrupted."""

    exit_code = 130


@dataclass(frozen=True, slots=True)
class Done:
    """How a command finished."""

    code: int
    output: str

    @property
    def last_line(self) -> str:
        """The last line that is not empty."""
        return next((line.strip() for line in reversed(self.output.splitlines()) if line.strip()), "")


class Run(Protocol):
    """Runs a command in a folder with some more variables."""

    def __call__(self, command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Done:
        """Return how it finished. Raises Interrupted."""


def runner(stopping: threading.Event, limit_s: float = LIMIT_S) -> Run:
    """Return what runs commands until `stopping` is set."""

    def run(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Done:
        if stopping.is_set():
            raise Interrupted("interrupted")
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                command, cwd=folder, env=own_variables() | dict(variables), stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
            code = _wait(process, stopping, limit_s)
            output.seek(0)
            return Done(code, output.read().decode(errors="replace"))

    return run


def own_variables() -> dict[str, str]:
    """Return this process's variables without those that point to servers, folders or options of its own."""
    return {name: value for name, value in inherited().items() if not name.startswith(_OWN)}


def _wait(process: subprocess.Popen[bytes], stopping: threading.Event, limit_s: float) -> int:
    """Return the exit code, -SIGKILL after the limit. Raises Interrupted when the process has stopped."""
    deadline_s = time.monotonic() + limit_s
    while process.poll() is None:
        if stopping.wait(_POLL_S):
            _stop(process, signal.SIGINT)
            raise Interrupted("interrupted")
        if time.monotonic() > deadline_s:
            _stop(process, signal.SIGINT)
            return -signal.SIGKILL
    return process.returncode


def _stop(process: subprocess.Popen[bytes], number: int) -> None:
    process.send_signal(number)
    try:
        process.wait(_CLOSE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
