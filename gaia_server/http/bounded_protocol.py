"""uvicorn's HTTP protocol with the bounds it lacks: on a request's head, its time, and on pipelined requests.

A request refused here never reaches the application; it is answered with problem details, and the connection closes.
"""

import asyncio
from typing import cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gaia_server.http import request_head, request_parsing
from gaia_server.http.bounded_flow import BoundedFlow, LingeringTransport
from gaia_server.problem import Problem

MAX_TARGET = 8 * 1024
MAX_HEAD = 32 * 1024
HEAD_S = 10.0
"""The time limit for a head: from the connection, or from the first byte of a later request."""

SHUTDOWN_GRACE_S = 0.5
"""How long an idle connection stays open when the server stops: a request may be in transit on it."""

PIECE = 1024
"""The number of bytes parsed at once: it bounds how many pipelined requests wait parsed."""

_TARGET_TOO_LONG = Problem(414, f"the path and query are longer than {MAX_TARGET} bytes")
_HEAD_TOO_LONG = Problem(431, f"the request's head is longer than {MAX_HEAD} bytes")
_TOO_SLOW = Problem(408, f"the request's head did not arrive within {HEAD_S:g} s")
_NOT_HTTP = Problem(400, "this is not an HTTP/1.1 request")
_TOO_EARLY = Problem(400, "a client waits for the response to its WebSocket handshake before it sends more")


class _Refused(Exception):
    """Stops the parser; `_refusal` is the reason."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """Refuses a head that is too long, too slow or ambiguous; ignores an upgrade to anything but a WebSocket."""

    flow: BoundedFlow
    _in_head = False
    _head = 0  # parsed bytes of the head
    _waiting = 0  # bytes received since the piece in which the head started, parsed or not
    _received = b""  # not parsed yet: requests before them are not answered
    _websocket = False  # the request opens a WebSocket
    _ignores_upgrade = False  # the parser has stopped at an upgrade that is ignored
    _refusal = _NOT_HTTP
    _refused = False
    _shutting_down = False
    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer for the first head."""
        super().connection_made(transport)
        self.flow = BoundedFlow(transport)
        self._clock = self.loop.call_later(HEAD_S, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        self._stop_clock()
        self._received = b""
        super().connection_lost(exc)
        self.flow.stop()

    def data_received(self, data: bytes) -> None:
        """Parse the received bytes."""
        if not self._refused:
            self._received += data
            self._parse()

    def on_response_complete(self) -> None:
        """Start the next pipelined request; parse on in the next round of the event loop if none is left."""
        super().on_response_complete()
        if self.transport.is_closing():
            self.flow.linger()
        elif self._received and not self.pipeline:
            self.loop.call_soon(self._parse)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        super().timeout_keep_alive_handler()
        self.flow.linger()

    # Parsing

    def _parse(self) -> None:
        """Parse piece by piece, until a pipelined request has to wait for its turn."""
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        received, parsed = self._received, 0
        while parsed < len(received) and not (self.pipeline or self._refused or self._websocket):
            parsed += self._parse_piece(received[parsed : parsed + PIECE])
        self._received = b"" if self._refused else received[parsed:]
        if self._websocket:
            self._open_websocket()
        else:
            self.flow.limit_reading(unparsed=bool(self._received), waiting=bool(self.pipeline))

    def _parse_piece(self, piece: bytes) -> int:
        """Parse one piece; return how many bytes of it are parsed."""
        if self._in_head:
            self._waiting += len(piece)
        parsed = len(piece)
        try:
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                parsed = upgrade.args[0]
                self._ignore_upgrade()
        except httptools.HttpParserError:
            self._refuse(self._refusal)
        # the parser reports a name or value only when it ends: one that never ends is caught here
        if self._in_head and self._waiting > MAX_HEAD and not self._refused:
            self._refuse(_HEAD_TOO_LONG)
        return parsed

    def _ignore_upgrade(self) -> None:
        """Parse the head again without its upgrade: the parser skips the body of a request that upgrades."""
        if self._websocket:
            return
        self._ignores_upgrade = False
        version, method = self.parser.get_http_version(), self.parser.get_method().decode()
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.parser.feed_data(request_head.without_upgrade(method, self.url, version, self.headers))

    def _open_websocket(self) -> None:
        if self._received:
            self._refuse(_TOO_EARLY)
        else:
            self.handle_websocket_upgrade()

    def _should_upgrade(self) -> bool:
        return self._websocket

    def on_message_begin(self) -> None:
        """Start counting the bytes of a head."""
        super().on_message_begin()
        self._in_head, self._head, self._waiting = True, 0, 0
        if self._clock is None:
            self._clock = self.loop.call_later(HEAD_S, self._too_slow)

    def on_url(self, url: bytes) -> None:
        """Add a part of the path and query."""
        super().on_url(url)
        if len(self.url) > MAX_TARGET:
            self._stop_parser(_TARGET_TOO_LONG)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header; count a trailer but drop it, because a proxy may forward its client's trailers unchecked."""
        if self._in_head:
            super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Check the head and stop counting."""
        method, version = self.parser.get_method().decode(), self.parser.get_http_version()
        if not self.url.startswith(b"/"):
            self.url, self.headers[:] = request_head.origin_form(self.url, self.headers)
        if problem := request_head.refusal(method, version, self.headers):
            self._stop_parser(problem)
        if self.parser.should_upgrade():
            answered = self.cycle is None or self.cycle.response_complete
            self._websocket = answered and request_head.opens_websocket(method, version, self.headers)
            self._ignores_upgrade = not self._websocket
        if self._ignores_upgrade:
            return  # the head is parsed again
        self._in_head = False
        self._stop_clock()
        super().on_headers_complete()
        if self._shutting_down and self.cycle:
            self.cycle.keep_alive = False  # the response announces it, so the client sends nothing more here

    def on_message_complete(self) -> None:
        """Finish the body, unless the head is parsed again."""
        if not self._ignores_upgrade:
            super().on_message_complete()

    def shutdown(self) -> None:
        """Shut down: finish the current request; an idle or new connection may still deliver and finish one."""
        self._shutting_down = True
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(SHUTDOWN_GRACE_S, self._close_unless_busy)
        else:
            super().shutdown()

    def _close_unless_busy(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > MAX_HEAD:
            self._stop_parser(_HEAD_TOO_LONG)

    def _stop_parser(self, refusal: Problem) -> None:
        self._refusal = refusal
        raise _Refused

    def _too_slow(self) -> None:
        self._clock = None
        if self._in_head:
            self._refuse(_TOO_SLOW)
        else:
            self.transport.close()  # no request, no response

    def _refuse(self, problem: Problem) -> None:
        """Answer and close; with a response still in progress, close after it instead."""
        self._refused = True
        self._stop_clock()
        self.flow.limit_reading(unparsed=False, waiting=True)
        self.flow.resume_reading()  # and discard
        self.flow.linger()
        lingering = LingeringTransport(self.transport)
        if self.cycle and not self.cycle.response_complete:
            self.cycle.keep_alive = False  # the connection closes after the response
            self.cycle.transport = cast("asyncio.Transport", lingering)
            if self.cycle.more_body:
                self._break_body(self.cycle)
            return
        lingering.write(self._bytes(problem))
        lingering.close()

    def _break_body(self, cycle: RequestResponseCycle) -> None:
        """End a body that cannot be read to its end: whoever awaits it refuses the request."""
        cycle.scope["state"][request_parsing.BROKEN_BODY] = True
        cycle.more_body = False
        cycle.message_event.set()

    def _bytes(self, problem: Problem) -> bytes:
        response = problem.response()
        headers = [*self.server_state.default_headers, *response.raw_headers, (b"connection", b"close")]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        return STATUS_LINE[problem.status] + lines + b"\r\n" + bytes(response.body)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
