"""Whether a server stops as promised, and keeps what is stored: SIGTERM with clients under way, then SIGKILL."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gaia_checks.errors import NotReady
from gaia_checks.model import NOT_CHECKED, Measurement, Target
from gaia_checks.probes.rehearsal import locked_admissions, open_websocket
from gaia_checks.probes.rehearsal.calendar_periods import within_a_day
from gaia_checks.probes.rehearsal.copy_measurements import measured_on, without_samples
from gaia_checks.probes.rehearsal.copy_protocol import BareCopyProtocol, OwnServerProtocol
from gaia_checks.probes.rehearsal.kept_state import LAST, KeptState
from gaia_checks.target.client import async_client
from gaia_checks.target.samples import Score, Watch

RESTARTS = 1012
"""The close code of a server that stops."""

_REQUESTS = 20  # under way at SIGTERM
_READ_S = 0.2  # from the last request that is sent until SIGTERM: what a server has not read yet is not under way
_UNDER_WAY_S = 0.5  # how long they still wait for the database after SIGTERM
_LOCKED_S = 1.0  # how long to wait until all are sent and a session waits
_GIVES_UP_S = 2.0  # after which a server may give up its database
_PATIENCE_S = 12.0  # for the exit; 10 s are promised
_CLEAN = (0, 143, -signal.SIGTERM)
_POLL_S = 0.02
_SENT = "http11.send_request_body.complete"

_MEASURED = {
    "shutdown.port_obeyed": "bool",
    "shutdown.answered": "count",
    "shutdown.closed_with_1012": "count",
    "shutdown.exit": "s",
    "shutdown.exit_code_clean": "bool",
    "shutdown.left": "count",
    "shutdown.kept": "count",
}


@dataclass
class _Observed:
    """The observations of one SIGTERM."""

    answers: Score = field(default_factory=Score)
    waited_s: float = 0.0  # that the requests waited for the database, at most
    closes: Score = field(default_factory=Score)
    exit_s: float = _PATIENCE_S
    code: int | None = None  # None: it did not exit
    left: list[str] = field(default_factory=list)


def probe(_target: Target, *, copy: AbstractContextManager[BareCopyProtocol], clients: float) -> list[Measurement]:
    """Measure `shutdown.*`, all on a rehearsal copy; without one they have no samples, but a reason."""
    return measured_on(copy, _MEASURED, lambda place: within_a_day(lambda: on_copy(place, int(clients))))


def on_copy(place: BareCopyProtocol, clients: int) -> list[Measurement]:
    """Start the release, store something, end it by SIGTERM and by SIGKILL, and look for what was stored each time."""
    watch, kept = Watch(), Score()
    try:
        server = place.start()
    except NotReady as error:
        how = "started with PORT alone, no socket handed over"
        return [
            watch.measurement("shutdown.port_obeyed", False, "bool", 1, how, (str(error),)),
            *without_samples(_MEASURED, str(error))[1:],
        ]
    with closing(KeptState(server.target)) as state:
        observed = asyncio.run(_terminate(place, server, clients))
        state.answered = observed.answers.good
        _start_again(place, server, state, kept, "SIGTERM")
    return _measurements(watch, observed, kept)


def _start_again(
    place: BareCopyProtocol, before: OwnServerProtocol, state: KeptState, kept: Score, stopped_by: str
) -> None:
    """Start on the same port, compare what is stored; the first time kill the server and do it once more."""
    try:
        server = place.start(_port(before))
    except NotReady as error:
        kept.add(f"after {stopped_by}: {error}")
        return
    for wrong in state.differences():
        kept.add(f"after {stopped_by}: {wrong}" if wrong else None)
    if stopped_by == "SIGTERM":
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        _start_again(place, server, state, kept, "SIGKILL")


async def _terminate(place: BareCopyProtocol, server: OwnServerProtocol, clients: int) -> _Observed:
    """Send SIGTERM while requests wait for the database and WebSockets are open; return what their clients observe."""
    observed = _Observed()
    async with AsyncExitStack() as stack, async_client(server.target) as http:
        sockets = [await stack.enter_async_context(open_websocket.opened(server.target)) for _ in range(clients)]
        listening = [asyncio.create_task(_close_code(socket)) for socket in sockets]
        first_s = time.monotonic()
        async with _requests_under_way(server.target, http) as under_way:
            server.process.terminate()
            start = time.monotonic()
            await asyncio.sleep(_UNDER_WAY_S)
        observed.waited_s = time.monotonic() - first_s
        observed.code = await asyncio.to_thread(_exit_code, server.process)
        observed.exit_s = round(time.monotonic() - start, 3)
        observed.left = list(_left(place, _port(server)))
        await asyncio.to_thread(_kill, server.process)  # what did not exit must close its connections
        for wrong in await asyncio.gather(*under_way):
            observed.answers.add(wrong)
        for code in await asyncio.gather(*listening):
            observed.closes.add(None if code == RESTARTS else f"closed with {code}, should be {RESTARTS}")
    return observed


@asynccontextmanager
async def _requests_under_way(target: Target, http: httpx.AsyncClient) -> AsyncIterator[list[asyncio.Task[str | None]]]:
    """Yield requests that wait for the database, and let the database decide them after the block."""
    with locked_admissions.locked(target) as lock:
        sent = [asyncio.Event() for _ in range(_REQUESTS)]
        requests = [asyncio.create_task(_answer(http, each)) for each in sent]
        deadline = time.monotonic() + _LOCKED_S
        while not (all(each.is_set() for each in sent) and lock.waiting()) and time.monotonic() < deadline:  # noqa: ASYNC110 - only PostgreSQL knows
            await asyncio.sleep(_POLL_S)
        await asyncio.sleep(_READ_S)
        yield [request for request, each in zip(requests, sent, strict=True) if each.is_set() and not request.done()]


async def _answer(http: httpx.AsyncClient, sent: asyncio.Event) -> str | None:
    """Send one request; return what is wrong with its answer."""

    async def trace(event: str, _about: object) -> None:
        if event == _SENT:
            sent.set()

    try:
        answer = await http.get(LAST, params={"limit": 1}, extensions={"trace": trace})
    except httpx.HTTPError as error:
        return f"a request under way at SIGTERM got no answer ({type(error).__name__}: {error})"
    if answer.status_code == 200:
        return None
    return f"a request under way at SIGTERM was answered {answer.status_code} instead of 200"


async def _close_code(connection: ClientConnection) -> int | None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await connection.recv()
    return connection.close_code


def _exit_code(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _left(place: BareCopyProtocol, port: int) -> Iterator[str]:
    for process in place.left():
        yield f"{process} still runs after the server"
    if not place.is_free(port):
        yield f"port {port} is still in use"


def _port(server: OwnServerProtocol) -> int:
    return urlsplit(server.target.base_url).port or 0


def _measurements(watch: Watch, observed: _Observed, kept: Score) -> list[Measurement]:
    exited, code = observed.code is not None, observed.code
    late = () if exited else (f"SIGTERM did not end it within {_PATIENCE_S:g} s",)
    unclean = () if not exited or code in _CLEAN else (f"exit code {code}, should be 0 (143 is accepted)",)
    return [
        watch.measurement("shutdown.port_obeyed", True, "bool", 1, "started with PORT alone, no socket handed over"),
        _answered(watch, observed),
        watch.counted("shutdown.closed_with_1012", observed.closes, "close codes of WebSockets open at SIGTERM"),
        watch.measurement("shutdown.exit", observed.exit_s, "s", 1, "from SIGTERM to the exit", late),
        watch.measurement(
            "shutdown.exit_code_clean", code in _CLEAN, "bool", int(exited), "after SIGTERM", unclean or late
        ),
        watch.measurement(
            "shutdown.left", len(observed.left), "count", 1, "processes and the socket after the exit", observed.left
        ),
        watch.counted("shutdown.kept", kept, "rules, counts, alerts and analytics after SIGTERM, and after SIGKILL"),
    ]


def _answered(watch: Watch, observed: _Observed) -> Measurement:
    """Measure the answers; without samples where some are wrong and this machine let them wait for too long."""
    name, how = "shutdown.answered", "requests that waited for the database when SIGTERM arrived"
    if observed.answers.wrong and observed.waited_s > _GIVES_UP_S:
        why = f"this machine let requests wait for {observed.waited_s:.1f} s, in which a server gives up its database"
        return watch.measurement(name, 0, "count", 0, how, (f"{NOT_CHECKED}{why}",))
    return watch.counted(name, observed.answers, how)
