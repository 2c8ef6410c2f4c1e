"""One request on a connection of its own, which is open before: so it leaves exactly when it is told to.

Many of them leave within a millisecond and race; each notes when it was sent and when its answer was whole. A
connection that serves one request only is never one that the server has meanwhile closed.
"""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass

import httptools
import httpx

from gaia_checks import contract
from gaia_checks.model import Target
from gaia_checks.target.client import CONNECT_S, READ_S, websocket_headers


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, and when, on the loop's monotonic clock."""

    received_s: float  # infinity: no answer came
    status: int | None  # None: no answer came
    headers: Mapping[str, str]  # by lower-case name
    why: str = ""  # there is no answer


class Door:
    """Where questions are asked: the target's address and what every request to it says. Made once."""

    def __init__(self, target: Target, path: str) -> None:
        """`path` is asked for, with the target's token if there is one."""
        url = httpx.URL(target.base_url)
        self._host, self._port = url.host, url.port or (443 if url.scheme == "https" else 80)
        self._tls = httpx.create_ssl_context() if url.scheme == "https" else None  # believes what all looks believe
        there = url.path.rstrip("/") + contract.path(target.names, path)
        lines = [f"GET {there} HTTP/1.1", f"Host: {url.netloc.decode()}", "Connection: close"]
        self._head = [*lines, *(f"{name}: {value}" for name, value in websocket_headers(target).items())]

    async def open(self, key: str) -> "Question":
        """Connect for one request of an API key. Never raises for the server: the question tells."""
        request = "\r\n".join([*self._head, f"X-API-Key: {key}", "", ""]).encode()
        question = Question(request)
        try:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().create_connection(
                    lambda: question, self._host, self._port, ssl=self._tls
                )
        except (OSError, TimeoutError) as error:
            question.fail(f"cannot connect: {error or type(error).__name__}")
        return question


class Question(asyncio.Protocol):
    """One request and its answer."""

    def __init__(self, request: bytes) -> None:
        self.sent_s = math.inf  # on the loop's monotonic clock
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._reply: asyncio.Future[Reply] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._clock: asyncio.TimerHandle | None = None

    @property
    def reply(self) -> Reply | None:
        """What came of it; None as long as that is open."""
        return self._reply.result() if self._reply.done() else None

    def send(self) -> None:
        """Let the request leave now."""
        self.sent_s = self._loop.time()
        if self._transport is not None and not self._reply.done():
            self._transport.write(self._request)
            self._clock = self._loop.call_later(READ_S, self.fail, f"no answer within {READ_S:g} s")

    async def wait(self) -> None:
        """Wait until it is known what came of it."""
        await asyncio.wait([self._reply])

    def close(self) -> None:
        """Let go of the connection, whatever came of it."""
        if self._clock is not None:
            self._clock.cancel()
        if self._transport is not None:
            self._transport.close()

    def fail(self, why: str) -> None:
        """There will be no answer."""
        self._end(Reply(math.inf, None, {}, why))

    def _end(self, reply: Reply) -> None:
        self.close()
        if not self._reply.done():
            self._reply.set_result(reply)

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Read on."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.fail(f"what came is no HTTP answer: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Without an answer until now there is none."""
        self.fail(f"the connection was closed without an answer{f': {exc}' if exc else ''}")

    # what httptools calls

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; lines of one name are joined (RFC 9110, section 5.3)."""
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_message_complete(self) -> None:
        """Take the whole answer; an interim one (1xx) is not it."""
        if self._parser.get_status_code() >= 200:
            self._end(Reply(self._loop.time(), self._parser.get_status_code(), self._headers))
        else:
            self._headers.clear()
