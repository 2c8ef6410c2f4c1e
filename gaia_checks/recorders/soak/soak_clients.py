"""The soak's WebSocket clients: they connect within a second, then listen until the end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from gaia_checks.model import Target
from gaia_checks.recorders.soak.message_gaps import Listener
from gaia_checks.target.client import message, reply
from gaia_checks.target.websocket_client import connecting
from gaia_checks.target.ws_messages import Stream

CONNECTING_S = 1.0


@dataclass
class Clients:
    """All clients: those that connected, and why others could not."""

    listeners: list[Listener] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@asynccontextmanager
async def connected(target: Target, clients: int, violated: tuple[str, ...]) -> AsyncIterator[Clients]:
    """Connect `clients` clients and yield them after all handshakes; close them at the end."""
    group = Clients()
    loop = asyncio.get_running_loop()
    handshakes: list[asyncio.Future[None]] = [loop.create_future() for _ in range(clients)]
    tasks = [
        asyncio.create_task(_client(target, number * CONNECTING_S / clients, violated, group, handshake))
        for number, handshake in enumerate(handshakes)
    ]
    try:
        await asyncio.wait(handshakes)
        yield group
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    broken = [error for error in results if isinstance(error, Exception)]
    if broken:
        raise broken[0]


async def _client(
    target: Target, wait_s: float, violated: tuple[str, ...], group: Clients, handshake: asyncio.Future[None]
) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(wait_s)
    try:
        async with connecting(target) as connection:
            listener = Listener(loop.time(), violated)
            group.listeners.append(listener)
            handshake.set_result(None)
            await _listen(target, connection, listener, loop.time)
    except (InvalidHandshake, OSError, EOFError, TimeoutError) as error:
        group.refused.append(f"the handshake failed: {error or type(error).__name__}")
    finally:
        if not handshake.done():
            handshake.set_result(None)


async def back_after_a_cut(target: Target, within_s: float) -> float:
    """Connect, abort the connection, connect again; return the seconds from the abort to new stats.

    Raises TimeoutError when they do not arrive `within_s`, and the errors of the connections.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(within_s), connecting(target) as connection:
        await connection.recv()
        connection.transport.abort()
        cut_s = loop.time()
    async with asyncio.timeout(within_s), connecting(target) as connection:
        stream = Stream()
        while stream.take(message(target, await connection.recv())) != "stats":
            pass
        return loop.time() - cut_s


async def stats(target: Target, within_s: float) -> str | bytes:
    """Return the stats that one more client receives. Raises TimeoutError, and the errors of a connection."""
    async with asyncio.timeout(within_s), connecting(target) as connection:
        stream = Stream()
        while True:
            frame = message(target, await connection.recv())
            if stream.take(frame) == "stats":
                return frame


async def _listen(target: Target, connection: ClientConnection, listener: Listener, clock: Callable[[], float]) -> None:
    try:
        while True:
            frame = await connection.recv()
            listener.take(message(target, frame), clock())
            if (owed := reply(target, frame)) is not None:
                await connection.send(owed)
    except ConnectionClosed as closed:
        listener.drop(str(closed), clock())
