"""Connections to one server for the precise engine: HTTP/1.1 over asyncio's protocols, one request at a time on each.

As in the default engine, a connection that the server may have closed is never written to, and every error has an
owner: the server or the generator.
"""

import asyncio
import errno
import select
import ssl
import time
from collections import deque
from typing import Any, Protocol
from urllib.parse import urlsplit

from gaia_checks.load.http.response_parser import HttpResponse, NotHttp, Parser, Plain

IDLE_LIMIT_S = 2.0
"""uvicorn and Node close after 5 s of idleness; a request must not race with that."""

FRESH_S = 0.001
"""The event loop has just served a connection that was idle for less than this: it is alive."""

_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


class ExchangeInFlight:
    """One request in flight."""

    __slots__ = ("connection", "due_s", "number", "over", "sent_s")

    def __init__(self, number: int, due_s: float, sent_s: float) -> None:
        """`number` is the request's index in the mix."""
        self.number = number
        self.due_s = due_s
        self.sent_s = sent_s
        self.connection: Connection | None = None
        self.over = False


class UvloopClient(Protocol):
    """Receives the outcome of every exchange."""

    def answered(self, exchange: ExchangeInFlight, answer: HttpResponse) -> None:
        """A complete response arrived."""

    def failed(self, exchange: ExchangeInFlight, why: str) -> None:
        """The server did not answer."""

    def broken(self, exchange: ExchangeInFlight, why: str) -> None:
        """A fault of the generator prevented sending."""


class Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, pool: "ConnectionPool") -> None:
        self.pool = pool
        self.exchange: ExchangeInFlight | None = None
        self.idle_s = 0.0  # start of its idleness, on the monotonic clock
        self.closed = False
        self._parser: Parser | None = None
        self._method = ""
        self._transport: Any = None
        self._poll = select.poll()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def send(self, exchange: ExchangeInFlight, method: str, data: bytes) -> None:
        """Send one request."""
        self.exchange, exchange.connection, self._method = exchange, self, method
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Read a response. An unsolicited one closes the connection."""
        exchange = self.exchange
        if exchange is None:
            self.close()
        elif self._parser is None and (answer := self.pool.plain.read(self._method, data)) is not None:
            self._end(exchange, answer)
        else:
            self._feed(exchange, data)

    def _feed(self, exchange: ExchangeInFlight, data: bytes) -> None:
        self._parser = self._parser or Parser(self._method)
        try:
            answer = self._parser.feed(data)
        except NotHttp as error:
            self._fail(exchange, f"the response is not HTTP: {error}")
            return
        if answer is not None:
            self._parser = None
            self._end(exchange, answer)

    def _end(self, exchange: ExchangeInFlight, answer: HttpResponse) -> None:
        self.exchange = None
        if answer.keep:
            self.pool.keep(self)
        else:
            self.close()
        self.pool.client.answered(exchange, answer)

    def connection_lost(self, error: Exception | None) -> None:
        """Finish the exchange: the end of a body without a length, or a request without a response."""
        self.closed = True
        exchange = self.exchange
        if exchange is None:
            return
        answer = self._parser.end() if self._parser and error is None else None
        if answer is not None:
            self._end(exchange, answer)
        else:
            self._fail(exchange, "the server closed the connection before the response was complete")

    def _fail(self, exchange: ExchangeInFlight, why: str) -> None:
        self.exchange = None
        self.close()
        self.pool.client.failed(exchange, why)

    def alive(self) -> bool:
        """Whether an idle connection has nothing to read: neither its end nor an unsolicited response."""
        return not self._poll.poll(0)

    def close(self) -> None:
        """Close it immediately."""
        self.exchange, self.closed = None, True
        self._transport.abort()


class ConnectionPool:
    """The connections to one server."""

    def __init__(self, client: UvloopClient, address: str, port: int, tls: ssl.SSLContext | None, host: str) -> None:
        """`host` is the name that the server's certificate must carry."""
        self.client = client
        self._idle: deque[Connection] = deque()  # most recently used last
        self.retried = 0  # requests moved to another connection because theirs was closed
        self.plain = Plain()
        self._address = address
        self._port = port
        self._tls = tls
        self._host = host
        self._opening: set[asyncio.Task[None]] = set()

    def send(self, exchange: ExchangeInFlight, method: str, data: bytes) -> None:
        """Send a request on a live pooled connection, or on a new one."""
        connection = self._pooled()
        if connection is not None:
            connection.send(exchange, method, data)
            return
        task = asyncio.get_running_loop().create_task(self._open(exchange, method, data))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def keep(self, connection: Connection) -> None:
        """Return a connection to the pool, and close those that only a stall had needed."""
        connection.idle_s = time.monotonic()
        self._idle.append(connection)
        while connection.idle_s - self._idle[0].idle_s > IDLE_LIMIT_S:
            self._idle.popleft().close()

    async def close(self) -> None:
        """Close idle connections and cancel those being opened."""
        for connection in self._idle:
            connection.close()
        for task in self._opening:
            task.cancel()
        await asyncio.sleep(0)  # lets the event loop process the cancellations

    def _pooled(self) -> Connection | None:
        """Return the most recently used connection that the server cannot have closed."""
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

    async def _open(self, exchange: ExchangeInFlight, method: str, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(self), self._address, self._port,
                ssl=self._tls, server_hostname=self._host if self._tls else None,
            )  # fmt: skip
        except OSError as error:  # includes TLS errors
            if not exchange.over:
                report = self.client.broken if error.errno in _OURS else self.client.failed
                report(exchange, f"the connection failed: {error.strerror or error}")
            return
        if exchange.over:  # connecting took longer than the time limit
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
