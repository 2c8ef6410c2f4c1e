"""Connections to one server for the precise engine: HTTP/1.1 over asyncio's protocols, one request at a time on each.

As in the default engine, a connection that the server may have closed is never written to, and an error says whose it
is.
"""

import asyncio
import errno
import select
import ssl
import time
from collections import deque
from typing import Any, Protocol
from urllib.parse import urlsplit

from gaia_checks.load.http.response_parser import Answer, NotHttp, Parser, Plain

IDLE_LIMIT_S = 2.0
"""uvicorn and Node close after 5 s of idleness; a request must not cross with that."""

FRESH_S = 0.001
"""What was idle for less than this was just seen alive by the event loop."""

_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


class Exchange:
    """One request and how it ended."""

    __slots__ = ("begun_s", "connection", "due_s", "number", "over")

    def __init__(self, number: int, due_s: float, begun_s: float) -> None:
        """`number` is the request's place in the mix."""
        self.number = number
        self.due_s = due_s
        self.begun_s = begun_s
        self.connection: Connection | None = None
        self.over = False


class Client(Protocol):
    """What is told of ends."""

    def answered(self, exchange: Exchange, answer: Answer) -> None:
        """A whole answer came."""

    def failed(self, exchange: Exchange, why: str) -> None:
        """The server did not answer."""

    def broken(self, exchange: Exchange, why: str) -> None:
        """Our own fault kept it from being sent."""


class Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, pool: "Pool") -> None:
        self.pool = pool
        self.exchange: Exchange | None = None
        self.idle_s = 0.0  # since when, of the monotonic clock
        self.closed = False
        self._parser: Parser | None = None
        self._method = ""
        self._transport: Any = None
        self._poll = select.poll()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = transport
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def send(self, exchange: Exchange, method: str, data: bytes) -> None:
        """Send one request."""
        self.exchange, exchange.connection, self._method = exchange, self, method
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Read an answer. One that nobody asked for ends the connection."""
        exchange = self.exchange
        if exchange is None:
            self.close()
        elif self._parser is None and (answer := self.pool.plain.read(self._method, data)) is not None:
            self._end(exchange, answer)
        else:
            self._feed(exchange, data)

    def _feed(self, exchange: Exchange, data: bytes) -> None:
        self._parser = self._parser or Parser(self._method)
        try:
            answer = self._parser.feed(data)
        except NotHttp as error:
            self._fail(exchange, f"the answer is no HTTP: {error}")
            return
        if answer is not None:
            self._parser = None
            self._end(exchange, answer)

    def _end(self, exchange: Exchange, answer: Answer) -> None:
        self.exchange = None
        if answer.keep:
            self.pool.keep(self)
        else:
            self.close()
        self.pool.client.answered(exchange, answer)

    def connection_lost(self, error: Exception | None) -> None:
        """Take the end: of a body without a length, or of a request that will have no answer."""
        self.closed = True
        exchange = self.exchange
        if exchange is None:
            return
        answer = self._parser.end() if self._parser and error is None else None
        if answer is not None:
            self._end(exchange, answer)
        else:
            self._fail(exchange, "the server closed the connection without a whole answer")

    def _fail(self, exchange: Exchange, why: str) -> None:
        self.exchange = None
        self.close()
        self.pool.client.failed(exchange, why)

    def alive(self) -> bool:
        """Whether there is nothing to read on an idle connection: neither its end nor what nobody asked for."""
        return not self._poll.poll(0)

    def close(self) -> None:
        """End it now."""
        self.exchange, self.closed = None, True
        self._transport.abort()


class Pool:
    """All connections to one server."""

    def __init__(self, client: Client, address: str, port: int, tls: ssl.SSLContext | None, host: str) -> None:
        """`host` is whom a certificate must name."""
        self.client = client
        self._idle: deque[Connection] = deque()  # the one that was used last is the last
        self.retried = 0  # requests that met a connection that was closed, and took another
        self.plain = Plain()
        self._address = address
        self._port = port
        self._tls = tls
        self._host = host
        self._opening: set[asyncio.Task[None]] = set()

    def send(self, exchange: Exchange, method: str, data: bytes) -> None:
        """Send a request on a connection that is alive, or on a new one."""
        connection = self._pooled()
        if connection is not None:
            connection.send(exchange, method, data)
            return
        task = asyncio.get_running_loop().create_task(self._open(exchange, method, data))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def keep(self, connection: Connection) -> None:
        """Keep a connection for the next request, and close what only a stall had needed."""
        connection.idle_s = time.monotonic()
        self._idle.append(connection)
        while connection.idle_s - self._idle[0].idle_s > IDLE_LIMIT_S:
            self._idle.popleft().close()

    async def close(self) -> None:
        """Close what is idle, and drop what is being opened."""
        for connection in self._idle:
            connection.close()
        for task in self._opening:
            task.cancel()
        await asyncio.sleep(0)  # let the event loop do so

    def _pooled(self) -> Connection | None:
        """Return the connection that was used last, unless the server may have closed it."""
        while self._idle:
            connection = self._idle.pop()
            idle_s = time.monotonic() - connection.idle_s
            if connection.closed:
                continue
            if idle_s < FRESH_S or (idle_s < IDLE_LIMIT_S and connection.alive()):
                return connection
            self.retried += idle_s < IDLE_LIMIT_S
            connection.close()
        return None

    async def _open(self, exchange: Exchange, method: str, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(self), self._address, self._port,
                ssl=self._tls, server_hostname=self._host if self._tls else None,
            )  # fmt: skip
        except OSError as error:  # also what TLS complains about
            if not exchange.over:
                tell = self.client.broken if error.errno in _OURS else self.client.failed
                tell(exchange, f"the connection failed: {error.strerror or error}")
            return
        if exchange.over:  # it took longer than the limit
            connection.close()
        else:
            connection.send(exchange, method, data)


async def resolve(url: str) -> tuple[str, int, ssl.SSLContext | None, str]:
    """Return (address, port, TLS or None, name) of a server. Raises OSError when the name is unknown."""
    parts = urlsplit(url)
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    host, port = parts.hostname or "", parts.port or (443 if tls else 80)
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
    return str(found[0][4][0]), port, tls, host
