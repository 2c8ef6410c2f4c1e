"""One server process, as the supervisor holds it: started, waited for until it is ready, ended."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gaia_checks.deploy import logfile, processes, spawn
from gaia_checks.deploy.record import Running
from gaia_checks.errors import NotReady
from gaia_checks.model import timestamp

READY_S = 30.0
_POLL_S = 0.1
_ANSWERS_IN_A_ROW = 2  # once could be luck on the way to a crash


@dataclass(frozen=True, slots=True)
class Order:
    """What is to run: a release folder, its variables, and where the public socket listens."""

    release: Path
    variables: Mapping[str, str] = field(repr=False)
    host: str
    port: int


class Child:
    """A server process. Made by `start`; `exited` is set by `reap`."""

    def __init__(self, order: Order, public: socket.socket, log: Path, caches: Path) -> None:
        """Start the process. What it unpacks goes to a folder of its own, empty before and removed afterwards."""
        self.order = order
        self.log = log
        self.exited = asyncio.Event()
        self.code: int | None = None
        self._log_offset = log.stat().st_size if log.exists() else 0
        self._cache = Path(tempfile.mkdtemp(dir=caches))
        with spawn.listen("127.0.0.1", 0) as private:
            self.private_port: int = private.getsockname()[1]
            variables = {**order.variables, "SHIV_ROOT": str(self._cache)}
            pid = spawn.spawn(order.release / "gaia_server", variables, (public, private), log)
        self.running = Running(pid, processes.created_s(pid))
        self.started_at = timestamp(datetime.now(UTC))

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
        shutil.rmtree(self._cache, ignore_errors=True)
        self.exited.set()

    async def ready(self) -> None:
        """Return when it answers on its private socket. Raises NotReady with its last words."""
        deadline = asyncio.get_running_loop().time() + READY_S
        good = 0
        while asyncio.get_running_loop().time() < deadline:
            if await self._ended_within(_POLL_S):
                raise NotReady(f"{self._name}: ended with {self._ending} before it was ready{self._last_words}")
            good = good + 1 if await _answers(self.private_port) else 0
            if good >= _ANSWERS_IN_A_ROW:
                return
        raise NotReady(f"{self._name}: not ready within {READY_S:.0f} s{self._last_words}")

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

    @property
    def _name(self) -> str:
        return self.order.release.name

    @property
    def _ending(self) -> str:
        code = self.code or 0
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

    @property
    def _last_words(self) -> str:
        said = logfile.last_line(self.log, self._log_offset)
        return f"; its last words: {said[:300]}" if said else f"; it wrote nothing to {self.log}"


async def _answers(port: int) -> bool:
    """Whether the server says that it is ready; one that has no /readyz is asked for /health."""
    status = await _status(port, "/readyz")
    return (await _status(port, "/health") if status == "404" else status) == "200"


async def _status(port: int, path: str) -> str:
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.closing(writer):
                writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
                return (await reader.readline()).decode("latin-1").split(" ")[1]
    except (OSError, TimeoutError, IndexError):
        return ""
