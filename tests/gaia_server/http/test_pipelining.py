"""Pipelined requests and clients that do not read: the protocol on a real socket, with an application of the test."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import uvicorn
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope
from uvicorn.server import ServerState

from gaia_server.http import bounded_flow, bounded_websocket
from gaia_server.http.bounded_protocol import BoundedHttpProtocol
from gaia_server.http.bounded_websocket import BoundedWebSocketProtocol
from tests.gaia_server.http.test_request_head import websocket

App = Callable[[Scope, ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]

PIPELINED = 3000


@dataclass
class Serving:
    """A listening protocol."""

    port: int = 0
    protocols: list[BoundedHttpProtocol] = field(default_factory=list)
    lost: asyncio.Event = field(default_factory=asyncio.Event)  # every connection so far


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[Serving]:
    """Serve `app` on a free port; wait at the end until every connection is lost."""
    found, state = Serving(), ServerState()

    class WatchedWebSocket(BoundedWebSocketProtocol):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            found.lost.set()

    class Watched(BoundedHttpProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            found.protocols.append(self)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if not self.connections:
                found.lost.set()

    loop = asyncio.get_running_loop()
    config = uvicorn.Config(app, ws=WatchedWebSocket, lifespan="off", log_config=None)
    config.load()
    server = await loop.create_server(lambda: Watched(config, state, {}), "127.0.0.1", 0)
    async with server:
        found.port = server.sockets[0].getsockname()[1]
        yield found
        async with asyncio.timeout(20):
            await found.lost.wait()


def get(path: str, more: str = "") -> bytes:
    """Return a request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode()


async def answer(send: ASGISendCallable, body: bytes) -> None:
    """Send a response."""
    length = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": length, "trailers": False})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def test_pipelined_requests_wait_unparsed() -> None:
    """While a request is in progress only few later ones are parsed; all are answered in their order."""
    gate, waiting = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        waiting.set()
        await gate.wait()
        await answer(send, scope["path"].encode() + b"\n")  # type: ignore[typeddict-item]

    async def run() -> None:
        async with serving(app) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            requests = [get(f"/{number}") for number in range(PIPELINED)]
            writer.write(b"".join(requests) + get("/last", "Connection: close\r\n"))
            await waiting.wait()
            (protocol,) = server.protocols
            assert len(protocol.pipeline) < 64
            gate.set()
            bodies = [line for line in (await reader.read()).split(b"\n") if line.startswith(b"/")]
            assert bodies == [*(f"/{number}".encode() for number in range(PIPELINED)), b"/last"]
            writer.close()

    asyncio.run(run())


def test_pipelined_requests_take_turns() -> None:
    """One client's pipelined requests do not keep another's single request waiting for all of them."""
    served: list[str] = []

    async def app(scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        served.append(scope["path"])  # type: ignore[typeddict-item]
        await answer(send, b"")

    async def run() -> None:
        async with serving(app) as server:
            _, many = await asyncio.open_connection("127.0.0.1", server.port)
            reader, one = await asyncio.open_connection("127.0.0.1", server.port)
            many.write(get("/many") * PIPELINED)
            one.write(get("/one"))
            await reader.readline()
            assert served.index("/one") < 100
            many.close()
            one.close()

    asyncio.run(run())


@pytest.mark.parametrize("more", ["", "Connection: close\r\n"])
@pytest.mark.parametrize("size", [20_000, 200_000])
def test_a_client_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch, more: str, size: int) -> None:
    """A connection whose client takes no response ends, even while it waits to be closed; little was sent by then."""
    monkeypatch.setattr(bounded_flow, "SLOW_S", 0.2)
    served = 0

    async def app(_scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        nonlocal served
        served += 1
        await answer(send, b"x" * size)

    asyncio.run(reads_nothing(app, get("/") * 400 + get("/", more)))
    assert served * size < 2 * 1024 * 1024


def test_a_websocket_client_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing a WebSocket does not wait forever for its client to read what was sent before."""
    monkeypatch.setattr(bounded_websocket, "LINGER_S", 0.2)

    async def app(_scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        await send({"type": "websocket.send", "bytes": bytes(10_000_000), "text": None})

    asyncio.run(reads_nothing(app, websocket()))


async def reads_nothing(app: App, sent: bytes) -> None:
    """Send to `app`, read nothing, and wait until the server drops the connection."""
    async with serving(app) as server:
        loop = asyncio.get_running_loop()
        with socket.socket() as connection:
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(connection, ("127.0.0.1", server.port))
            await loop.sock_sendall(connection, sent)
            async with asyncio.timeout(20):
                await server.lost.wait()
