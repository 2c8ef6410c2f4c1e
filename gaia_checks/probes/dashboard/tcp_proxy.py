"""A TCP proxy on this machine that can drop all connections; it forwards bytes without parsing them.

A browser behind it loses its connections when the proxy is cut; the server sees a client that disconnected.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

from gaia_checks.target.client import CONNECT_S

_CHUNK = 65_536


class TcpProxy:
    """Forwards connections from a port of this machine to one host and port; none while it is cut."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._connected = True
        self._connections: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()

    def cut(self) -> None:
        """Close every connection, and forward none until `restore`. All are closed when this returns."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()

    def restore(self) -> None:
        """Forward connections again."""
        self._connected = True

    def run(self) -> None:
        """Forward connections until `leave`."""
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    def leave(self) -> None:
        """Stop `run` from another thread."""
        self._loop.call_soon_threadsafe(self._stop.set)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, sock=self._listener)
        await self._stop.wait()
        server.close()
        await self._cut()

    async def _cut(self) -> None:
        self._connected = False
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = self._loop.create_task(self._forward(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)
        connection.add_done_callback(lambda _: writer.transport.abort())

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until either side closes it."""
        try:
            if self._connected:
                await self._join(reader, writer)
        except* OSError:  # a disconnected side closes only this connection
            pass

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(CONNECT_S):
            far_reader, far_writer = await asyncio.open_connection(*self._to)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, far_writer))
                both.create_task(_copy(far_reader, writer))
        finally:
            far_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forward data until the end of the stream, then the end."""
    while chunk := await reader.read(_CHUNK):
        writer.write(chunk)
        await writer.drain()
    writer.close()


@contextlib.contextmanager
def line(host: str, port: int) -> Iterator[TcpProxy]:
    """Run a proxy to `host` and `port`."""
    made = TcpProxy(host, port)
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.leave()
        thread.join()
