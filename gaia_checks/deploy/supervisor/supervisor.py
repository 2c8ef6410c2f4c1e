"""Start, swap and restart the servers of one environment.

`control` defines the commands. Until `commit` the old server serves, or is restarted when the connection closes; so a
killed command leaves exactly one server.
"""

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gaia_checks import errors
from gaia_checks.deploy.state import paths, supervisor_state
from gaia_checks.deploy.state.checkpoints import Checkpoint, Event
from gaia_checks.deploy.state.deployment_journal import DeploymentJournal, OnCheckpoint
from gaia_checks.deploy.state.paths import Paths
from gaia_checks.deploy.state.supervisor_state import SupervisorState
from gaia_checks.deploy.supervisor import adopt, backoff, listening_socket, log_rotation, spawn
from gaia_checks.deploy.supervisor.control import encode
from gaia_checks.deploy.supervisor.supervised_server import Adopted, ChildServer, ServerSpec, SupervisedServer
from gaia_checks.errors import DeployError, GaiaError
from gaia_checks.model import timestamp
from gaia_checks.printable import printable

_FILES_EVERY_S = 10.0
_FREE = "free some disk space"
_REQUEST_BYTES = 1_000_000


class Supervisor:
    """The servers of one environment."""

    def __init__(self, here: Paths, on_checkpoint: OnCheckpoint = lambda _checkpoint, _event: None) -> None:
        """Start without servers; `serve` adopts the server of an earlier supervisor."""
        self._here = here
        self._journal = DeploymentJournal(here, on_checkpoint)
        self._children: list[ChildServer] = []
        self._active: SupervisedServer | None = None
        self._started: ChildServer | None = None  # but not committed
        self._replaced: SupervisedServer | None = None  # but not exited
        self._fallback: ServerSpec | None = None  # the server that had to make room
        self._public: dict[tuple[str, int], socket.socket] = {}
        self._restarter: asyncio.Task[None] | None = None
        self._restarts = 0
        self._unwritten_state: str | None = None  # a state that could not be written
        self._stopping = asyncio.Event()
        self._current_connection: object = None
        self._cleanup_lock = asyncio.Lock()
        self._warm_cache: tuple[Path, Path] | None = None  # a release and the cache of its candidate

    async def serve(self, ready: Callable[[], None]) -> None:
        """Accept commands until `stop` or a signal, then end every server."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        self._adopt()
        self._here.control.unlink(missing_ok=True)
        control = await asyncio.start_unix_server(
            self._handle_connection, str(self._here.control), limit=_REQUEST_BYTES
        )
        files = asyncio.create_task(self._maintain_files())
        try:
            ready()
            log_line("ready")
            await self._stopping.wait()
        finally:
            # First accept no more commands, then start no more servers, then let servers finish their requests.
            control.close()
            self._here.control.unlink(missing_ok=True)
            files.cancel()
            await self._end_all()
            log_line("stopped")

    # commands ------------------------------------------------------------------------------------

    async def _handle_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._current_connection = connection = object()
        try:
            await self._clean_up()  # after a killed command: commands are serialized
            while line := await reader.readline():
                writer.write(encode(await self._answer(json.loads(line))))
                await writer.drain()
        except (ConnectionError, ValueError) as error:
            log_line(f"connection closed: {error}")
        finally:
            if self._current_connection is connection:
                await self._clean_up()
            writer.close()

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"ok": True, **(await self._do(request) or {})}
        except GaiaError as error:
            return {"error": str(error), "kind": type(error).__name__}
        except OSError as error:  # a full disk, above all
            return {"error": f"{errors.refused(error)}; {_FREE}", "kind": DeployError.__name__}

    async def _do(self, request: dict[str, Any]) -> dict[str, Any] | None:
        match request:
            case {"do": "serving", "order": spec}:
                serving = (
                    self._active
                    if self._active and (self._restarts_on_exit() or not self._active.exited.is_set())
                    else None
                )
                return {
                    "release": str(serving.spec.release) if serving else None,
                    "beside": self._fits_beside(_spec(spec)),
                    "kept": self._is_kept(),
                }
            case {"do": "start", "order": spec, "candidate": candidate, "known": known}:
                child = await self._start(_spec(spec), candidate=candidate, known=known)
                return {"running": asdict(child.running), "port": child.port}
            case {"do": "make_room"}:
                await self._make_room()
            case {"do": "commit"}:
                await self._commit()
            case {"do": "retire"}:
                await self._retire()
                self._reach_checkpoint(Checkpoint.OLD_ENDED)
            case {"do": "abort"}:
                await self._end_started()
            case {"do": "holds", "variables": variables}:
                return {"holds": bool(self._active and self._active.spec.variables == variables)}
            case {"do": "stop"}:
                self._stopping.set()
            case _:
                raise DeployError(f"the supervisor does not understand {request.get('do')!r}; run: gaia stop ENV")
        return None

    async def _start(self, spec: ServerSpec, *, candidate: bool, known: bool) -> ChildServer:
        """Start a server and return it when it is ready. Raises NotReady or PortInUse, and leaves no process."""
        started = None
        try:
            self._started = started = self._spawn(spec, candidate=candidate)
            self._reach_checkpoint(Checkpoint.CANDIDATE_SPAWNED if candidate else Checkpoint.SPAWNED)
            await started.ready(known=known)
        except BaseException:
            if self._started is started:  # else the next command has stopped this server and started its own
                await self._end_started()
            raise
        return started

    async def _make_room(self) -> None:
        """End the active server; it is restarted unless another one is committed."""
        await self._cancel_restarter()
        if active := self._active:
            self._replaced, self._active, self._fallback = active, None, active.spec
        await self._retire()
        self._reach_checkpoint(Checkpoint.OLD_ENDED)

    async def _commit(self) -> None:
        """Make the started server the active one."""
        if self._started is None:
            raise DeployError("no started server to commit; run: gaia deploy ENV")
        self._replaced, self._active, self._started = self._active, self._started, None
        await self._cancel_restarter()
        self._restarts, self._fallback = 0, None
        self._restarter = asyncio.create_task(self._restart_on_exit())  # before any write that may fail
        self._record("running")
        self._reach_checkpoint(Checkpoint.NOTED)

    async def _retire(self) -> None:
        """End the replaced server."""
        if self._replaced:
            await self._replaced.end()
            self._replaced = None
        self._close_unused()

    async def _end_started(self) -> None:
        started, self._started = self._started, None
        if started:
            await started.end()
        self._close_unused()

    async def _clean_up(self) -> None:
        async with self._cleanup_lock:  # the end of one connection and the start of the next may overlap
            await self._end_unfinished()

    async def _end_unfinished(self) -> None:
        await self._end_started()
        await self._retire()
        self._discard_warm_cache()
        fallback, self._fallback = self._fallback, None
        if fallback and not self._active:
            try:
                self._active = self._spawn(fallback)
            except (OSError, GaiaError) as error:
                log_line(f"cannot restart {fallback.release.name}: {error}")
                return
            self._record("starting")
            self._restarter = asyncio.create_task(self._restart_on_exit())

    # servers -------------------------------------------------------------------------------------

    def _adopt(self) -> None:
        """Adopt the server of a dead supervisor; keep the record of a server that died with it."""
        before, found = supervisor_state.read(self._here.record), adopt.survivor(self._here, log_line)
        if found and found.server:
            self._active = Adopted(adopt.spec_of(found), found.server, found.started_at or "")
            self._restarts = found.restarts
            self._restarter = asyncio.create_task(self._restart_on_exit())
            log_line(f"adopted pid {found.server.pid}, whose supervisor had died")
            self._take_socket(self._active)
        else:
            shutil.rmtree(self._here.caches, ignore_errors=True)
        paths.private(self._here.caches)
        if before and before.release and not self._active:
            supervisor_state.write(
                self._here.record, replace(before, supervisor=supervisor_state.mine(), state="crashed")
            )
        else:
            self._record("running" if self._active else "stopped")

    async def _restart_on_exit(self) -> None:
        """Restart the active server whenever it exits by itself.

        A server that answers is left alone even if it is not ready: its database may be unavailable.
        """
        crashes = 0
        while server := self._active:
            start = asyncio.get_running_loop().time()
            with contextlib.suppress(errors.NotReady):
                await server.ready(known=True)
                self._record("running")
                await server.exited.wait()
            await server.end()
            crashes = backoff.consecutive_crashes(crashes, asyncio.get_running_loop().time() - start)
            delay_s = backoff.delay_s(crashes)
            self._restarts += 1
            self._record("crashed")
            log_line(f"{server.spec.release.name} (pid {server.running.pid}) exited; restarting it in {delay_s:g} s")
            await asyncio.sleep(delay_s)
            try:
                self._active = self._spawn(server.spec)
            except (OSError, GaiaError) as error:
                log_line(f"cannot start {server.spec.release.name}: {error}")  # the next round counts one more crash
                continue
            self._record("starting")

    def _take_socket(self, server: SupervisedServer) -> None:
        """Take the public socket from an adopted server, to pass it on; the system may refuse."""
        address = (server.spec.host, server.spec.port)
        if not server.spec.handover or address in self._public:
            return
        if taken := listening_socket.take(server.running.pid, server.spec.port):
            self._public[address] = taken

    def _fits_beside(self, spec: ServerSpec) -> bool:
        """Whether `spec` can start beside the active server: on another port, or with the socket passed on."""
        active = self._active
        if active is None or active.spec.port != spec.port:
            return True
        self._take_socket(active)  # in case the system allows it by now
        passed_on = active.spec.handover and spec.handover and not self._is_kept()
        return passed_on and active.spec.host == spec.host

    def _is_kept(self) -> bool:
        """Whether the active server was adopted and keeps the socket that it could pass on."""
        active = self._active
        return bool(active and active.spec.handover and (active.spec.host, active.spec.port) not in self._public)

    def _spawn(self, spec: ServerSpec, *, candidate: bool = False) -> ChildServer:
        """Start a process: a candidate on a loopback port with its own log, else a server on the public address."""
        cache, log = self._cache(spec, candidate=candidate), self._here.server_log
        if candidate:
            log = self._here.candidate_log
            log.unlink(missing_ok=True)
        alone = candidate or self._active is None or self._active.exited.is_set()
        if not spec.handover:
            port = spawn.free_port() if candidate else spec.port
            if not candidate:
                spawn.listen(spec.host, port).close()  # raises PortInUse before the start
            on_port = replace(spec, variables={**spec.variables, "PORT": str(port)})
            return self._register(ChildServer(on_port, (), port, log, cache, keep_cache=candidate, alone=alone))
        with spawn.listen("127.0.0.1", 0) as private:
            port = private.getsockname()[1]
            sockets = (private,) if candidate else (self._listen(spec), private)
            return self._register(ChildServer(spec, sockets, port, log, cache, keep_cache=candidate, alone=alone))

    def _cache(self, spec: ServerSpec, *, candidate: bool) -> Path:
        """Return the cache folder of a server: that of its candidate, for a quick start, else a new one."""
        if not candidate and self._warm_cache and self._warm_cache[0] == spec.release:
            (_, cache), self._warm_cache = self._warm_cache, None
            return cache
        cache = Path(tempfile.mkdtemp(dir=self._here.caches))
        if candidate:
            self._discard_warm_cache()
            self._warm_cache = (spec.release, cache)
        return cache

    def _discard_warm_cache(self) -> None:
        if self._warm_cache:
            shutil.rmtree(self._warm_cache[1], ignore_errors=True)
            self._warm_cache = None

    def _register(self, child: ChildServer) -> ChildServer:
        self._children.append(child)
        log_line(f"started {child.spec.release.name} as pid {child.running.pid}")
        return child

    def _listen(self, spec: ServerSpec) -> socket.socket:
        address = (spec.host, spec.port)
        if address not in self._public:
            self._public[address] = spawn.listen(*address)
        return self._public[address]

    def _reap(self) -> None:
        for child in self._children:
            child.reap()
        self._children = [child for child in self._children if not child.exited.is_set()]

    def _close_unused(self) -> None:
        used = {(s.spec.host, s.spec.port) for s in (self._active, self._started) if s and s.spec.handover}
        for address in set(self._public) - used:
            self._public.pop(address).close()

    def _restarts_on_exit(self) -> bool:
        """Whether the active server is restarted when it exits."""
        return self._restarter is not None and not self._restarter.done()

    async def _cancel_restarter(self) -> None:
        if self._restarter:
            self._restarter.cancel()
            await asyncio.wait([self._restarter])
            self._restarter = None

    async def _end_all(self) -> None:
        await self._cancel_restarter()
        self._fallback = None
        servers = {id(s): s for s in (*self._children, self._active, self._replaced) if s}
        await asyncio.gather(*(server.end() for server in servers.values()))
        self._active = self._started = self._replaced = None
        self._close_unused()

    # state for other processes --------------------------------------------------------------------

    def _record(self, state: str) -> None:
        """Write the state file. On a full disk supervision continues, and the write is retried."""
        try:
            self._write(state)
            self._unwritten_state = None
        except OSError as error:
            self._unwritten_state = state
            log_line(f"cannot record the state {state}: {errors.refused(error)}; {_FREE}")

    def _write(self, state: str) -> None:
        supervisor, server = supervisor_state.mine(), self._active
        if server is None:
            supervisor_state.write(self._here.record, SupervisorState(supervisor, state))
            return
        spec = server.spec
        now = SupervisorState(
            supervisor=supervisor,
            state=state,
            server=server.running,
            started_at=server.started_at,
            restarts=self._restarts,
            release=str(spec.release),
            host=spec.host,
            port=spec.port,
            handover=spec.handover,
            paths=spec.paths,
            ready_s=spec.ready_s,
        )
        supervisor_state.write(self._here.record, now)

    def _reach_checkpoint(self, point: Checkpoint) -> None:
        """Write a checkpoint of the supervisor to the open deployment's journal."""
        if self._here.journal.exists():
            self._journal.reach(point, Event.FINISHED)

    async def _maintain_files(self) -> None:
        """Retry a state write that a full disk prevented, and rotate the server's log."""
        while True:
            await asyncio.sleep(_FILES_EVERY_S)
            if self._unwritten_state:
                self._record(self._unwritten_state)
            try:
                log_rotation.rotate(self._here.server_log)
            except OSError as error:
                log_line(f"cannot rotate the server's log: {errors.refused(error)}; {_FREE}")


def log_line(text: str) -> None:
    """Write one line to the supervisor's log, its stderr. A full disk loses the line and raises nothing."""
    with contextlib.suppress(OSError):
        print(f"{timestamp(datetime.now(UTC))} {printable(text)}", file=sys.stderr, flush=True)  # noqa: T201 - its log


def _spec(fields: dict[str, Any]) -> ServerSpec:
    return ServerSpec(**{**fields, "release": Path(fields["release"]), "paths": tuple(fields["paths"])})
