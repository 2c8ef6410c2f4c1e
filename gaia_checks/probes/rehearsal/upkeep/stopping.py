"""Whether a server that stops answers what was sent to it before it closed the connection."""

import asyncio
import contextlib
import socket
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

from gaia_checks.errors import Inconclusive
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.rehearsal import passing_clients
from gaia_checks.probes.rehearsal.copy_protocol import OwnServerProtocol
from gaia_checks.target.samples import Score, Watch

ANSWERED = "shutdown.answered_before_close"
UNITS = {ANSWERED: "count"}

_CONNECTIONS = 50
_BEFORE_S = 0.3  # of requests before SIGTERM
_PATIENCE_S = 30.0  # until every connection is closed; 10 s are promised, a slow machine explains no more
_SURE_S = 0.02  # between the look whether a connection is open and the request on it
_PATH = "/livez"  # whatever its answer
_END = b"\r\n\r\n"
_READ = 65536


def answered_before_close(server: OwnServerProtocol) -> Measurement:
    """End the server by SIGTERM while clients send one request after the other, each as soon as one is answered.

    A server closes a connection that it does not need any more. A request that it does not read is lost for its client,
    who had no way to know: the connection was open when it was sent. Raises Inconclusive without any answer.
    """
    watch, score = Watch(), Score()
    for wrong in asyncio.run(_stop(server)):
        score.add(wrong)
    return watch.counted(ANSWERED, score, "connections on which requests follow each other when SIGTERM arrives")


async def _stop(server: OwnServerProtocol) -> list[str | None]:
    """Return for each connection the fault, or None."""
    request = passing_clients.lasting(server.target, _PATH)
    with ExitStack() as stack:
        connections = [stack.enter_context(socket.socket()) for _ in range(_CONNECTIONS)]
        try:
            async with asyncio.timeout(_PATIENCE_S):  # what the server has not accepted yet, it cannot answer
                await asyncio.gather(*(_connect(server.target, each, request) for each in connections))
        except (OSError, EOFError) as error:
            raise Inconclusive(f"GET {_PATH} got no answer: {error or type(error).__name__}") from error
        sending = [asyncio.create_task(_send_on(each, request)) for each in connections]
        await asyncio.sleep(_BEFORE_S)
        server.process.terminate()
        done, pending = await asyncio.wait(sending, timeout=_PATIENCE_S)
        for each in pending:
            each.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        return [each.result() for each in done]


async def _connect(target: Target, connection: socket.socket, request: bytes) -> None:
    loop, address = asyncio.get_running_loop(), urlsplit(target.base_url)
    connection.setblocking(False)
    await loop.sock_connect(connection, (address.hostname, address.port))
    await loop.sock_sendall(connection, request)
    await _answered(connection)


async def _send_on(connection: socket.socket, request: bytes) -> str | None:
    """Send until the connection closes; return the fault if a request had been sent before and got no answer."""
    while True:
        looked_s = time.monotonic()
        if _is_closed(connection):
            return None
        with contextlib.suppress(OSError):  # closed meanwhile, which the read shows
            connection.send(request)
        sent_s = time.monotonic()
        try:
            if not await _answered(connection):
                return None
        except OSError as error:
            lost = f"GET {_PATH} got no answer ({error}), though its connection was open when it was sent"
            return lost if sent_s - looked_s < _SURE_S else None


def _is_closed(connection: socket.socket) -> bool:
    """Whether the server has closed its side. Only these clients' answers are ever read, so nothing else waits."""
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


async def _answered(connection: socket.socket) -> bool:
    """Read one answer; return whether the server keeps the connection open. Raises OSError without one."""
    loop, received = asyncio.get_running_loop(), b""
    while True:
        head, end, body = received.partition(_END)
        if end and len(body) >= passing_clients.content_length(head + end):
            return b"connection: close" not in head.lower()
        if not (more := await loop.sock_recv(connection, _READ)):
            raise ConnectionResetError("end of file")
        received += more
