"""The servers of one environment: started, swapped, started again after a crash.

What a command may ask for stands in `control`. Until `commit` the old server serves, or is started again when
the conversation breaks off; so a killed command leaves one server, whatever it was about to do.
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
from gaia_checks.deploy.state.deployment_journal import DeploymentJournal
from gaia_checks.deploy.state.paths import Places
from gaia_checks.deploy.state.supervisor_state import SupervisorState
from gaia_checks.deploy.supervisor import adopt, backoff, log_rotation, spawn
from gaia_checks.deploy.supervisor.control import encode
from gaia_checks.deploy.supervisor.server_process import Adopted, Child, Server, ServerSpec
from gaia_checks.errors import DeployError, GaiaError
from gaia_checks.model import timestamp

_FILES_EVERY_S = 10.0
_FREE = "free some disk space"
_REQUEST_BYTES = 1_000_000


class Supervisor:
    """The servers of one environment."""

    def __init__(self, here: Places) -> None:
        """Nothing runs yet; `serve` adopts what an earlier supervisor left."""
        self._here = here
        self._children: list[Child] = []
        self._active: Server | None = None
        self._started: Child | None = None  # and not committed
        self._replaced: Server | None = None  # and not ended
        self._fallback: ServerSpec | None = None  # what had to make room
        self._public: dict[tuple[str, int], socket.socket] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._restarts = 0
        self._unnoted: str | None = None  # the state that could not be written
        self._ending = asyncio.Event()
        self._talking: object = None
        self._leaving = asyncio.Lock()
        self._warm: tuple[Path, Path] | None = None  # a release, and what its candidate has unpacked

    async def serve(self, ready: Callable[[], None]) -> None:
        """Accept commands until told to stop, then end every server."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        self._adopt()
        self._here.control.unlink(missing_ok=True)
        control = await asyncio.start_unix_server(self._converse, str(self._here.control), limit=_REQUEST_BYTES)
        files = asyncio.create_task(self._look_after_files())
        try:
            ready()
            say("ready")
            await self._ending.wait()
        finally:
            # First nobody can ask for more, then nobody starts more, then what runs may finish its requests.
            control.close()
            self._here.control.unlink(missing_ok=True)
            files.cancel()
            await self._end_everything()
            say("stopped")

    # commands ------------------------------------------------------------------------------------

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._talking = me = object()
        try:
            await self._leave_nothing_unfinished()  # by a command that was killed: commands take turns
            while line := await reader.readline():
                writer.write(encode(await self._answer(json.loads(line))))
                await writer.drain()
        except (ConnectionError, ValueError) as error:
            say(f"a conversation broke off: {error}")
        finally:
            if self._talking is me:
                await self._leave_nothing_unfinished()
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
            case {"do": "serving", "order": order}:
                serving = self._active if self._active and (self._kept() or not self._active.exited.is_set()) else None
                return {
                    "release": str(serving.order.release) if serving else None,
                    "beside": self._fits_beside(_order(order)),
                }
            case {"do": "start", "order": order, "candidate": candidate, "known": known}:
                child = await self._start(_order(order), candidate=candidate, known=known)
                return {"running": asdict(child.running), "port": child.port}
            case {"do": "make_room"}:
                await self._make_room()
            case {"do": "commit"}:
                await self._commit()
            case {"do": "retire"}:
                await self._retire()
                self._reach(Checkpoint.OLD_ENDED)
            case {"do": "abort"}:
                await self._end_started()
            case {"do": "holds", "variables": variables}:
                return {"holds": bool(self._active and self._active.order.variables == variables)}
            case {"do": "stop"}:
                self._ending.set()
            case _:
                raise DeployError(f"the supervisor does not understand {request.get('do')!r}; run: gaia stop ENV")
        return None

    async def _start(self, order: ServerSpec, *, candidate: bool, known: bool) -> Child:
        """Start a server and return it when it is ready. Raises NotReady or PortInUse, with nothing left of it."""
        started = None
        try:
            self._started = started = self._spawn(order, candidate=candidate)
            self._reach(Checkpoint.CANDIDATE_SPAWNED if candidate else Checkpoint.SPAWNED)
            await started.ready(known=known)
        except BaseException:
            if self._started is started:  # else the next command has ended this one, and has its own by now
                await self._end_started()
            raise
        return started

    async def _make_room(self) -> None:
        """End the active server; it is started again unless another one is committed."""
        await self._cancel_keeper()
        if active := self._active:
            self._replaced, self._active, self._fallback = active, None, active.order
        await self._retire()
        self._reach(Checkpoint.OLD_ENDED)

    async def _commit(self) -> None:
        """Let the started server be the active one."""
        if self._started is None:
            raise DeployError("there is no server to take over; run: gaia deploy ENV")
        self._replaced, self._active, self._started = self._active, self._started, None
        await self._cancel_keeper()
        self._restarts, self._fallback = 0, None
        self._keeper = asyncio.create_task(self._keep())  # first: it is needed whatever cannot be written
        self._note("running")
        self._reach(Checkpoint.NOTED)

    async def _retire(self) -> None:
        """Return when the server that was replaced is gone."""
        if self._replaced:
            await self._replaced.end()
            self._replaced = None
        self._close_unused()

    async def _end_started(self) -> None:
        started, self._started = self._started, None
        if started:
            await started.end()
        self._close_unused()

    async def _leave_nothing_unfinished(self) -> None:
        async with self._leaving:  # a conversation that ends and the next one that begins do this at once
            await self._end_unfinished()

    async def _end_unfinished(self) -> None:
        await self._end_started()
        await self._retire()
        self._forget_warm()
        fallback, self._fallback = self._fallback, None
        if fallback and not self._active:
            try:
                self._active = self._spawn(fallback)
            except (OSError, GaiaError) as error:
                say(f"cannot start {fallback.release.name} again: {error}")
                return
            self._note("starting")
            self._keeper = asyncio.create_task(self._keep())

    # servers -------------------------------------------------------------------------------------

    def _adopt(self) -> None:
        """Make the server that a dead supervisor left ours; what died together with it stays on record."""
        before, found = supervisor_state.read(self._here.record), adopt.survivor(self._here, say)
        if found and found.server:
            self._active = Adopted(adopt.order(found), found.server, found.started_at or "")
            self._restarts = found.restarts
            self._keeper = asyncio.create_task(self._keep())
            say(f"adopted pid {found.server.pid}, whose supervisor had died")
        else:
            shutil.rmtree(self._here.caches, ignore_errors=True)
        paths.private(self._here.caches)
        if before and before.release and not self._active:
            supervisor_state.write(
                self._here.record, replace(before, supervisor=supervisor_state.mine(), state="crashed")
            )
        else:
            self._note("running" if self._active else "stopped")

    async def _keep(self) -> None:
        """Start the active server again whenever it ends by itself.

        One that answers is left alone, also when it says that it is not ready: its database may be away.
        """
        crashes = 0
        while server := self._active:
            began = asyncio.get_running_loop().time()
            with contextlib.suppress(errors.NotReady):
                await server.ready(known=True)
                self._note("running")
                await server.exited.wait()
            await server.end()
            crashes = backoff.crashes_in_a_row(crashes, asyncio.get_running_loop().time() - began)
            delay_s = backoff.delay_s(crashes)
            self._restarts += 1
            self._note("crashed")
            say(f"{server.order.release.name} (pid {server.running.pid}) ended; starting it again in {delay_s:g} s")
            await asyncio.sleep(delay_s)
            try:
                self._active = self._spawn(server.order)
            except (OSError, GaiaError) as error:
                say(f"cannot start {server.order.release.name}: {error}")  # the next round counts one more crash
                continue
            self._note("starting")

    def _fits_beside(self, order: ServerSpec) -> bool:
        """Whether `order` can start while the active server runs: another port, or the socket is passed on."""
        active = self._active
        if active is None or active.order.port != order.port:
            return True
        handed = isinstance(active, Child) and active.order.handover and order.handover
        return handed and active.order.host == order.host

    def _spawn(self, order: ServerSpec, *, candidate: bool = False) -> Child:
        """Start a process: a candidate on a free loopback port, else one for the public."""
        log, cache = self._here.server_log, self._cache(order, candidate=candidate)
        if not order.handover:
            port = spawn.free_port() if candidate else order.port
            if not candidate:
                spawn.listen(order.host, port).close()  # PortInUse now, and not half an answer later
            moved = replace(order, variables={**order.variables, "PORT": str(port)})
            return self._spawned(Child(moved, (), port, log, cache, keep_cache=candidate))
        with spawn.listen("127.0.0.1", 0) as private:
            port = private.getsockname()[1]
            sockets = (private,) if candidate else (self._listen(order), private)
            return self._spawned(Child(order, sockets, port, log, cache, keep_cache=candidate))

    def _cache(self, order: ServerSpec, *, candidate: bool) -> Path:
        """Return the folder for what the server unpacks: its candidate's, so that it starts quickly, else a new one."""
        if not candidate and self._warm and self._warm[0] == order.release:
            (_, cache), self._warm = self._warm, None
            return cache
        cache = Path(tempfile.mkdtemp(dir=self._here.caches))
        if candidate:
            self._forget_warm()
            self._warm = (order.release, cache)
        return cache

    def _forget_warm(self) -> None:
        if self._warm:
            shutil.rmtree(self._warm[1], ignore_errors=True)
            self._warm = None

    def _spawned(self, child: Child) -> Child:
        self._children.append(child)
        say(f"started {child.order.release.name} as pid {child.running.pid}")
        return child

    def _listen(self, order: ServerSpec) -> socket.socket:
        address = (order.host, order.port)
        if address not in self._public:
            self._public[address] = spawn.listen(*address)
        return self._public[address]

    def _reap(self) -> None:
        for child in self._children:
            child.reap()
        self._children = [child for child in self._children if not child.exited.is_set()]

    def _close_unused(self) -> None:
        used = {(s.order.host, s.order.port) for s in (self._active, self._started) if s and s.order.handover}
        for address in set(self._public) - used:
            self._public.pop(address).close()

    def _kept(self) -> bool:
        """Whether the active server is started again when it ends."""
        return self._keeper is not None and not self._keeper.done()

    async def _cancel_keeper(self) -> None:
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
            self._keeper = None

    async def _end_everything(self) -> None:
        await self._cancel_keeper()
        self._fallback = None
        servers = {id(s): s for s in (*self._children, self._active, self._replaced) if s}
        await asyncio.gather(*(server.end() for server in servers.values()))
        self._active = self._started = self._replaced = None
        self._close_unused()

    # what others may know ------------------------------------------------------------------------

    def _note(self, state: str) -> None:
        """Write what runs for others to see. A full disk keeps no server from being watched: it is tried again."""
        try:
            self._write(state)
            self._unnoted = None
        except OSError as error:
            self._unnoted = state
            say(f"cannot note that the server is {state}: {errors.refused(error)}; {_FREE}")

    def _write(self, state: str) -> None:
        me, server = supervisor_state.mine(), self._active
        if server is None:
            supervisor_state.write(self._here.record, SupervisorState(me, state))
            return
        order = server.order
        now = SupervisorState(
            supervisor=me,
            state=state,
            server=server.running,
            started_at=server.started_at,
            restarts=self._restarts,
            release=str(order.release),
            host=order.host,
            port=order.port,
            handover=order.handover,
            paths=order.paths,
            ready_s=order.ready_s,
        )
        supervisor_state.write(self._here.record, now)

    def _reach(self, point: Checkpoint) -> None:
        """Write a point that only the supervisor sees into the open deployment's journal."""
        if self._here.journal.exists():
            DeploymentJournal(self._here).reach(point, Event.ENDED)

    async def _look_after_files(self) -> None:
        """Write down what a full disk had kept us from, and keep the server's log from filling it."""
        while True:
            await asyncio.sleep(_FILES_EVERY_S)
            if self._unnoted:
                self._note(self._unnoted)
            try:
                log_rotation.rotate(self._here.server_log)
            except OSError as error:
                say(f"cannot rotate the server's log: {errors.refused(error)}; {_FREE}")


def say(text: str) -> None:
    """Write one line to the supervisor's log, which is its stderr. A full disk takes none, and ends nothing."""
    with contextlib.suppress(OSError):
        print(f"{timestamp(datetime.now(UTC))} {text}", file=sys.stderr, flush=True)  # noqa: T201 - its log


def _order(given: dict[str, Any]) -> ServerSpec:
    return ServerSpec(**{**given, "release": Path(given["release"]), "paths": tuple(given["paths"])})
