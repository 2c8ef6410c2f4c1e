"""The servers of one environment: started on the public socket, swapped, started again after a crash.

A swap is a conversation (see `control`): `start` makes a candidate, `commit` lets it take over. Until then
the old server serves, and a conversation that breaks off takes its candidate with it.
"""

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gaia_checks import errors
from gaia_checks.deploy import logfile, places, record, restart, spawn
from gaia_checks.deploy.child import Child, Order
from gaia_checks.deploy.control import encode
from gaia_checks.deploy.places import Places
from gaia_checks.deploy.record import Record
from gaia_checks.errors import DeployError, GaiaError
from gaia_checks.model import timestamp

_ROTATE_EVERY_S = 10.0
_REQUEST_BYTES = 1_000_000


class Supervisor:
    """The servers of one environment."""

    def __init__(self, here: Places) -> None:
        """Take over the record: a server whose supervisor died is known from it."""
        self._here = here
        found = record.read(here.record)
        self._orphan = found if found and found.server and found.server.alive else None
        self._children: list[Child] = []
        self._active: Child | None = None
        self._candidate: Child | None = None
        self._public: dict[tuple[str, int], socket.socket] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._restarts = 0
        self._ending = asyncio.Event()
        self._fallback: Order | None = None
        if not self._orphan:
            shutil.rmtree(here.caches, ignore_errors=True)
        places.private(here.caches)
        self._note("running" if self._orphan else "stopped")

    async def serve(self, ready: Callable[[], None]) -> None:
        """Accept commands until told to stop, then end every server."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        self._here.control.unlink(missing_ok=True)
        control = await asyncio.start_unix_server(self._converse, str(self._here.control), limit=_REQUEST_BYTES)
        rotation = asyncio.create_task(self._rotate())
        try:
            ready()
            say("ready")
            await self._ending.wait()
        finally:
            # First nobody can ask for more, then nobody starts more, then what runs may finish its requests.
            control.close()
            self._here.control.unlink(missing_ok=True)
            rotation.cancel()
            await self._end_everything()
            say("stopped")

    # commands ------------------------------------------------------------------------------------

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        started: list[Child] = []
        try:
            while line := await reader.readline():
                writer.write(encode(await self._answer(json.loads(line), started)))
                await writer.drain()
        except (ConnectionError, ValueError) as error:
            say(f"a conversation broke off: {error}")
        finally:
            if self._candidate in started:
                await self._abort()
            writer.close()

    async def _answer(self, request: dict[str, Any], started: list[Child]) -> dict[str, Any]:
        try:
            match request:
                case {"do": "start", "release": release, "variables": variables, "host": host, "port": port}:
                    child = await self._start(Order(Path(release), variables, host, port), started)
                    return {"ok": True, "pid": child.running.pid, "created_s": child.running.created_s,
                            "private_port": child.private_port}  # fmt: skip
                case {"do": "commit"}:
                    await self._commit()
                case {"do": "abort"}:
                    await self._abort()
                case {"do": "holds", "variables": variables}:
                    return {"ok": True, "holds": bool(self._active and self._active.order.variables == variables)}
                case {"do": "stop"}:
                    self._ending.set()
                case _:
                    raise DeployError(f"the supervisor does not understand {request.get('do')!r}; run: gaia stop ENV")
        except GaiaError as error:
            return {"error": str(error), "kind": type(error).__name__}
        return {"ok": True}

    async def _start(self, order: Order, started: list[Child]) -> Child:
        """Start a candidate and return it when it is ready. Raises NotReady or PortInUse, with nothing left of it."""
        await self._abort()  # of a command that was killed: commands take turns
        self._retire_orphan(order)
        candidate = None
        try:
            self._candidate = candidate = self._spawn(order)
            started.append(candidate)
            await candidate.ready()
        except BaseException:
            if self._candidate is candidate:  # else the next command has ended this one, and has its own by now
                await self._abort()
            raise
        return candidate

    async def _commit(self) -> None:
        """Let the candidate take over and return when the old server is gone."""
        if self._candidate is None:
            raise DeployError("there is no candidate to take over; run: gaia deploy ENV")
        old, self._active, self._candidate = self._active, self._candidate, None
        await self._cancel_keeper()
        self._restarts, self._fallback = 0, None
        self._link_current(self._active.order.release)
        self._note("running")
        self._keeper = asyncio.create_task(self._keep())
        if old:
            await old.end()
        self._close_unused()

    async def _abort(self) -> None:
        """End the candidate, if there is one; where an orphan had to make room for it, start its release again."""
        candidate, self._candidate = self._candidate, None
        if candidate:
            await candidate.end()
        if self._fallback and not self._active:
            fallback, self._fallback = self._fallback, None
            self._active = self._spawn(fallback)
            self._note("starting")
            self._keeper = asyncio.create_task(self._keep())
        self._close_unused()

    # servers -------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Start the active server again whenever it ends by itself."""
        crashes = 0
        while child := self._active:
            began = asyncio.get_running_loop().time()
            with contextlib.suppress(errors.NotReady):
                await child.ready()
                self._note("running")
                await child.exited.wait()
            await child.end()
            crashes = restart.crashes_in_a_row(crashes, asyncio.get_running_loop().time() - began)
            delay_s = restart.delay_s(crashes)
            self._restarts += 1
            self._note("crashed")
            say(f"{child.order.release.name} (pid {child.running.pid}) ended; starting it again in {delay_s:g} s")
            await asyncio.sleep(delay_s)
            try:
                self._active = self._spawn(child.order)
            except (OSError, GaiaError) as error:
                say(f"cannot start {child.order.release.name}: {error}")  # the next round counts it as one more crash
                continue
            self._note("starting")

    def _spawn(self, order: Order) -> Child:
        address = (order.host, order.port)
        if address not in self._public:
            self._public[address] = spawn.listen(*address)
        child = Child(order, self._public[address], self._here.server_log, self._here.caches)
        self._children.append(child)
        say(f"started {order.release.name} as pid {child.running.pid}")
        return child

    def _reap(self) -> None:
        for child in self._children:
            child.reap()
        self._children = [child for child in self._children if not child.exited.is_set()]

    def _retire_orphan(self, order: Order) -> None:
        """End the server that an earlier supervisor left: its socket cannot be taken from it, so this is an outage."""
        orphan, self._orphan = self._orphan, None
        if orphan and orphan.server:
            orphan.server.end()
            say(f"ended pid {orphan.server.pid}, whose supervisor had died")
            if orphan.release and orphan.host and orphan.port:
                self._fallback = Order(Path(orphan.release), order.variables, orphan.host, orphan.port)

    def _close_unused(self) -> None:
        used = {(child.order.host, child.order.port) for child in (self._active, self._candidate) if child}
        for address in set(self._public) - used:
            self._public.pop(address).close()

    async def _cancel_keeper(self) -> None:
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
            self._keeper = None

    async def _end_everything(self) -> None:
        await self._cancel_keeper()
        self._fallback = None
        await asyncio.gather(*(child.end() for child in list(self._children)))
        if self._orphan and self._orphan.server:
            self._orphan.server.end()
        self._active = self._candidate = None
        self._close_unused()

    # what others may know ------------------------------------------------------------------------

    def _note(self, state: str) -> None:
        me, child, orphan = record.mine(), self._active, self._orphan
        if child:
            order = child.order
            now = Record(
                me, state, child.running, child.started_at, self._restarts, str(order.release), order.host, order.port
            )
        elif orphan:
            now = Record(
                me, state, orphan.server, orphan.started_at, orphan.restarts, orphan.release, orphan.host, orphan.port
            )
        else:
            now = Record(me, state)
        record.write(self._here.record, now)

    def _link_current(self, release: Path) -> None:
        """Let `current` point to the release, and `previous` to the one before it."""
        current = self._here.releases / "current"
        if current.is_symlink() and current.readlink() != Path(release.name):
            _link(self._here.releases / "previous", current.readlink())
        _link(current, Path(release.name))

    async def _rotate(self) -> None:
        while True:
            await asyncio.sleep(_ROTATE_EVERY_S)
            logfile.rotate(self._here.server_log)


def _link(link: Path, target: Path) -> None:
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)


def say(text: str) -> None:
    """Write one line to the supervisor's log, which is its stderr."""
    print(f"{timestamp(datetime.now(UTC))} {text}", file=sys.stderr, flush=True)  # noqa: T201 - the supervisor's log
