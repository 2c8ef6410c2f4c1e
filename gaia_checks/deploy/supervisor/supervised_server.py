"""One server process of the supervisor: start it, wait until it is ready, end it."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gaia_checks.deploy.state import processes, supervisor_state
from gaia_checks.deploy.state.supervisor_state import Running
from gaia_checks.deploy.supervisor import log_line, log_rotation, readiness, spawn
from gaia_checks.errors import NotReady
from gaia_checks.model import timestamp
from gaia_checks.printable import printable

MARK = "SHIV_ROOT"
"""The variable that identifies a server of an environment: its value is below the environment's cache folder."""

_POLL_S = 0.05
_ADOPTED_POLL_S = 0.2
_CONSECUTIVE_ANSWERS = 2  # one answer may precede a crash


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """The server to run: release folder, variables, public address, and readiness paths."""

    release: Path
    variables: Mapping[str, str] = field(repr=False)
    host: str
    port: int
    handover: bool = True  # it takes LISTEN_FDS
    paths: tuple[str, ...] = ()  # readiness paths; empty: those of the contract
    ready_s: float = 30.0  # time limit of its start, in seconds


class SupervisedServer:
    """A running server. `exited` is set when its process has exited."""

    def __init__(self, spec: ServerSpec, running: Running, started_at: str) -> None:
        """Represent an existing process."""
        self.spec = spec
        self.running = running
        self.started_at = started_at
        self.exited = asyncio.Event()

    async def ready(self, *, known: bool = False) -> None:
        """Wait until it is ready; with `known`, until it gives any answer."""

    async def end(self) -> None:
        """Send SIGTERM, then SIGKILL if it takes too long; return when the process has exited."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.exited.is_set():
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.running.pid, number)
            await self._exited_within(processes.DRAIN_S)

    async def _exited_within(self, timeout_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.exited.wait(), timeout_s)
        return self.exited.is_set()


class Adopted(SupervisedServer):
    """A server started by another supervisor, identified by pid and birth."""

    def __init__(self, spec: ServerSpec, running: Running, started_at: str) -> None:
        """Start watching the process."""
        super().__init__(spec, running, started_at)
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while self.running.alive:  # noqa: ASYNC110 - only a parent is notified of an exit
            await asyncio.sleep(_ADOPTED_POLL_S)
        self.exited.set()


class ChildServer(SupervisedServer):
    """A server process started by this supervisor. `reap` sets `exited`."""

    def __init__(
        self,
        spec: ServerSpec,
        sockets: Sequence[socket.socket],
        port: int,
        log: Path,
        cache: Path,
        *,
        keep_cache: bool = False,
        alone: bool = True,
    ) -> None:
        """Start the process; `port` serves the readiness checks. It unpacks to `cache`, removed at its exit.

        `alone`: no other server writes to `log` while it starts.
        """
        self.log = log
        self.port = port
        self.code: int | None = None
        self._log_offset = log.stat().st_size if log.exists() else 0
        self._alone = alone
        self._cache = None if keep_cache else cache
        pid = spawn.spawn(spec.release / "gaia_server", {**spec.variables, MARK: str(cache)}, sockets, log)
        super().__init__(spec, supervisor_state.of(pid), timestamp(datetime.now(UTC)))

    def reap(self) -> None:
        """If the process has exited, record its exit code and kill the rest of its process group."""
        if self.exited.is_set():
            return
        pid, status = os.waitpid(self.running.pid, os.WNOHANG)
        if not pid:
            return
        self.code = os.waitstatus_to_exitcode(status)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        if self._cache:
            shutil.rmtree(self._cache, ignore_errors=True)
        self.exited.set()

    async def ready(self, *, known: bool = False) -> None:
        """Wait until it answers 200; with `known`, until it gives any answer.

        Raises NotReady with what it answered last, and the last line of its log.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.spec.ready_s
        answers, message = 0, ""
        async with readiness.client(self.port) as http:
            while (left_s := deadline - clock()) > 0:
                if await self._exited_within(_POLL_S):
                    raise NotReady(f"{self._name}: exited with {self._exit} before it was ready{self._last_line}")
                answer = await readiness.ask(http, self.spec.paths, left_s)
                if not (answer.cut_short and message):
                    message = f": {printable(answer.message)}"
                answers = answers + 1 if answer.status == 200 or (known and answer.status) else 0
                if answers >= _CONSECUTIVE_ANSWERS:
                    return
        raise NotReady(f"{self._name}: not ready within {self.spec.ready_s:.0f} s{message}{self._last_line}")

    @property
    def _name(self) -> str:
        return self.spec.release.name

    @property
    def _exit(self) -> str:
        code = self.code or 0
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

    @property
    def _last_line(self) -> str:
        """Its own last words. Beside another server that writes to the same log, nobody knows whose the last are."""
        if not self._alone:
            return f"; see {self.log}"
        line = log_rotation.last_line(self.log, self._log_offset)
        if not line:
            return f"; it wrote nothing to {self.log}"
        traceback = f"; its traceback: {self.log}" if log_line.read(line).below else ""
        return f"; last log line: {log_line.in_one_line(line)[:300]}{traceback}"
