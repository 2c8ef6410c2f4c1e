"""The WebSocket of the dashboard and of everybody else who watches."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime

from starlette.websockets import WebSocket, WebSocketDisconnect

from gaia_server import pushing
from gaia_server.app_state import Server, server_of
from gaia_server.http.definitions.parameters import LiveParameters
from gaia_server.http.request_parsing import query
from gaia_server.problem import Problem
from gaia_server.push.hub import Client, Message

TRY_LATER = 1013
_CLOSE_CODES = {401: 4401, 403: 4403, 422: 4422, 429: TRY_LATER}  # by the HTTP status of the refusal
SLOW_S = 10.0  # a client that takes no message for so long is closed
CLOSE_S = 1.0  # timeout of that close handshake

log = logging.getLogger(__name__)


async def quotas(websocket: WebSocket) -> None:
    """Serve one client of /ws/admin/quotas until it disconnects, stops reading, or the server stops."""
    server = server_of(websocket)
    await websocket.accept()  # without it a browser would not learn the close code
    try:
        since = _admitted(server, websocket)
    except Problem as refusal:
        await websocket.close(_CLOSE_CODES[refusal.status], _reason(refusal))
        return
    client = server.hub.join()
    if client is None:
        await websocket.close(TRY_LATER, "too many clients")
        return
    client.resuming = since is not None
    client.put(Message.of("stats", server.stats(), datetime.now(UTC)))
    reading = asyncio.create_task(_read(websocket))
    writing = asyncio.create_task(_write(websocket, client))
    tasks = [reading, writing, *([asyncio.create_task(pushing.resume(server, client, since))] if since else [])]
    try:
        await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.hub.leave(client)
        for task in tasks:
            task.cancel()
        _, written, *_ = await asyncio.gather(*tasks, return_exceptions=True)
    if client.overflowed or isinstance(written, TimeoutError):
        await _close_slow_client(websocket)


def _admitted(server: Server, websocket: WebSocket) -> datetime | None:
    """Return from when on the client wants what it missed, if at all. Raises Problem."""
    if refusal := server.refusal(websocket):
        raise refusal
    return query(websocket, LiveParameters, ignored=True).since


def _reason(refusal: Problem) -> str:
    return " ".join(refusal.errors[0].values()) if refusal.errors else refusal.detail


async def _write(websocket: WebSocket, client: Client) -> None:
    while not client.overflowed:
        await client.ready.wait()
        for text in client.take():
            async with asyncio.timeout(SLOW_S):
                await websocket.send_text(text)


async def _read(websocket: WebSocket) -> None:
    """Wait until the client disconnects; its messages are ignored."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def _close_slow_client(websocket: WebSocket) -> None:
    log.info("closing a WebSocket client that does not read")
    with suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
        async with asyncio.timeout(CLOSE_S):
            await websocket.close(TRY_LATER, "too slow")
