"""One request on a connection of its own, opened beforehand: so it leaves exactly when it is sent.

Many of them leave within a millisecond and race; each records when it was sent and when its answer was complete. A
connection that serves a single request was never closed by the server as idle.
"""

import asyncio
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import httptools
import httpx

from gaia_checks import contract
from gaia_checks.contract.adapter import HttpAnswer, HttpRequest
from gaia_checks.model import Target
from gaia_checks.target.client import CONNECT_S, READ_S

_CLAIMED = (None, "198.51.100.21", None, "198.51.100.22")
"""Addresses that requests claim in turn: a server that believes them counts one client as several."""


@dataclass(frozen=True, slots=True)
class TimedResponse:
    """The response and its time on the loop's monotonic clock."""

    received_s: float  # infinity: no answer came
    status: int | None  # None: no answer came
    headers: Mapping[str, str]  # by lower-case name
    why: str = ""  # the reason for no answer


class Endpoint:
    """The target's address and what all requests share. Made once."""

    def __init__(self, target: Target, path: str) -> None:
        """Prepare requests for `path`, with the target's token if there is one."""
        url = httpx.URL(target.base_url)
        self._host, self._port = url.host, url.port or (443 if url.scheme == "https" else 80)
        self._tls = httpx.create_ssl_context() if url.scheme == "https" else None  # trusts what the other clients trust
        self._names, self._path, self._prefix = target.names, path, url.path.rstrip("/")
        self._netloc, self._token = url.netloc.decode(), target.admin_token
        self._claimed = itertools.cycle(_CLAIMED)

    async def open(self, key: str) -> "PendingRequest":
        """Connect for one request of an API key. Never raises for the server: the request's reply has the reason."""
        own = {"X-API-Key": key, **({"Authorization": f"Bearer {self._token}"} if self._token else {})}
        ours = HttpRequest("GET", self._path, own)
        theirs = contract.outgoing(self._names, ours)
        lines = [f"{theirs.method} {self._prefix}{theirs.path} HTTP/1.1", f"Host: {self._netloc}", "Connection: close"]
        claimed = next(self._claimed)
        claims = [f"X-Forwarded-For: {claimed}"] if claimed else []
        head = [*lines, *claims, *(f"{name}: {value}" for name, value in theirs.headers.items())]
        translate = partial(contract.incoming, self._names, ours)
        pending_request = PendingRequest("\r\n".join([*head, "", ""]).encode(), translate)
        try:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().create_connection(
                    lambda: pending_request, self._host, self._port, ssl=self._tls
                )
        except (OSError, TimeoutError) as error:
            pending_request.fail(f"cannot connect: {error or type(error).__name__}")
        return pending_request


class PendingRequest(asyncio.Protocol):
    """One request and its answer."""

    def __init__(self, request: bytes, translate: Callable[[HttpAnswer], HttpAnswer]) -> None:
        """`translate` puts an answer into the contract's words."""
        self._translate = translate
        self._translated: TimedResponse | None = None
        self.sent_s = math.inf  # on the loop's monotonic clock
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._reply: asyncio.Future[TimedResponse] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._clock: asyncio.TimerHandle | None = None

    @property
    def reply(self) -> TimedResponse | None:
        """The outcome; None while it is pending. Raises AdapterError."""
        if not self._reply.done():
            return None
        if self._translated is None:  # not on arrival: in a burst it would delay the answers behind
            reply = self._reply.result()
            if reply.status is not None:
                answer = self._translate(HttpAnswer(reply.status, reply.headers))
                reply = replace(reply, status=answer.status, headers=answer.headers)
            self._translated = reply
        return self._translated

    def send(self) -> None:
        """Send the request now."""
        self.sent_s = self._loop.time()
        if self._transport is not None and not self._reply.done():
            self._transport.write(self._request)
            self._clock = self._loop.call_later(READ_S, self.fail, f"no answer within {READ_S:g} s")

    async def wait(self) -> None:
        """Wait for the outcome."""
        await asyncio.wait([self._reply])

    def close(self) -> None:
        """Close the connection, whatever the outcome."""
        if self._clock is not None:
            self._clock.cancel()
        if self._transport is not None:
            self._transport.close()

    def fail(self, why: str) -> None:
        """Record that there is no answer, and why."""
        self._end(TimedResponse(math.inf, None, {}, why))

    def _end(self, reply: TimedResponse) -> None:
        self.close()
        if not self._reply.done():
            self._reply.set_result(reply)

    # called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Parse the next bytes."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.fail(f"invalid HTTP response: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail when no answer arrived before."""
        self.fail(f"the connection was closed without an answer{f': {exc}' if exc else ''}")

    # called by httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; lines of one name are joined (RFC 9110, section 5.3)."""
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_message_complete(self) -> None:
        """Take the complete answer; skip an interim one (1xx)."""
        if self._parser.get_status_code() >= 200:
            self._end(TimedResponse(self._loop.time(), self._parser.get_status_code(), self._headers))
        else:
            self._headers.clear()
