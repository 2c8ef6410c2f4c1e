"""One server process, as the supervisor holds it: started, waited for until it is ready, ended."""

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
from gaia_checks.deploy.supervisor import log_rotation, spawn
from gaia_checks.errors import NotReady
from gaia_checks.model import timestamp

MARK = "SHIV_ROOT"
"""The variable by which a server of an environment is recognised: below the environment's folder of caches."""

_POLL_S = 0.05
_ADOPTED_POLL_S = 0.2
_ANSWERS_IN_A_ROW = 2  # once could be luck on the way to a crash


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """What is to run: a release folder, its variables, where the public socket listens, and how it is talked to."""

    release: Path
    variables: Mapping[str, str] = field(repr=False)
    host: str
    port: int
    handover: bool = True  # it takes LISTEN_FDS
    paths: tuple[str, ...] = ()  # where it is asked whether it is ready; empty: as the contract has it
    ready_s: float = 30.0  # how long it may take until it is ready


class Server:
    """A server that runs. `exited` is set when it has ended."""

    def __init__(self, order: ServerSpec, running: Running, started_at: str) -> None:
        """Hold a process that is there."""
        self.order = order
        self.running = running
        self.started_at = started_at
        self.exited = asyncio.Event()

    async def ready(self, *, known: bool = False) -> None:
        """Return when it is ready; with `known`, when it answers at all."""

    async def end(self) -> None:
        """Ask it to end, kill it when it takes too long, and return when it is gone."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.exited.is_set():
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.running.pid, number)
            await self._ended_within(processes.TERM_S)

    async def _ended_within(self, timeout_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.exited.wait(), timeout_s)
        return self.exited.is_set()


class Adopted(Server):
    """A server that another supervisor started: known by pid and birth, its sockets are out of our reach."""

    def __init__(self, order: ServerSpec, running: Running, started_at: str) -> None:
        """Watch the process from now on."""
        super().__init__(order, running, started_at)
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while self.running.alive:  # noqa: ASYNC110 - nobody tells us of the end of a process that is not our child
            await asyncio.sleep(_ADOPTED_POLL_S)
        self.exited.set()


class Child(Server):
    """A server process of our own. `exited` is set by `reap`."""

    def __init__(
        self,
        order: ServerSpec,
        sockets: Sequence[socket.socket],
        port: int,
        log: Path,
        cache: Path,
        *,
        keep_cache: bool = False,
    ) -> None:
        """Start the process; `port` is where it is looked at. What it unpacks goes to `cache`, removed with it."""
        self.log = log
        self.port = port
        self.code: int | None = None
        self._log_offset = log.stat().st_size if log.exists() else 0
        self._cache = None if keep_cache else cache
        pid = spawn.spawn(order.release / "gaia_server", {**order.variables, MARK: str(cache)}, sockets, log)
        super().__init__(order, supervisor_state.of(pid), timestamp(datetime.now(UTC)))

    def reap(self) -> None:
        """Take note if the process has ended; what it started itself is killed."""
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
        """Return when it answers that it is ready; with `known`, when it answers at all.

        Raises NotReady with its last words.
        """
        deadline = asyncio.get_running_loop().time() + self.order.ready_s
        good = 0
        while asyncio.get_running_loop().time() < deadline:
            if await self._ended_within(_POLL_S):
                raise NotReady(f"{self._name}: ended with {self._ending} before it was ready{self._last_words}")
            status = await _status(self.port, self.order.paths)
            good = good + 1 if status == "200" or (known and status) else 0
            if good >= _ANSWERS_IN_A_ROW:
                return
        raise NotReady(f"{self._name}: not ready within {self.order.ready_s:.0f} s{self._last_words}")

    @property
    def _name(self) -> str:
        return self.order.release.name

    @property
    def _ending(self) -> str:
        code = self.code or 0
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

    @property
    def _last_words(self) -> str:
        said = log_rotation.last_line(self.log, self._log_offset)
        return f"; its last words: {said[:300]}" if said else f"; it wrote nothing to {self.log}"


async def _status(port: int, paths: tuple[str, ...]) -> str:
    """What the server answers when it is asked whether it is ready; one that has no /readyz is asked for /health."""
    status = await _get(port, paths[0] if paths else "/readyz")
    return await _get(port, "/health") if status == "404" and not paths else status


async def _get(port: int, path: str) -> str:
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.closing(writer):
                writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
                return (await reader.readline()).decode("latin-1").split(" ")[1]
    except (OSError, TimeoutError, IndexError):
        return ""
