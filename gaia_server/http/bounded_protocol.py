"""uvicorn's HTTP protocol with the bounds it lacks: on the size of a request's head, and on its time.

A request refused here never reaches the application; it is answered with problem details, and the connection closes.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gaia_server.problem import Problem

MAX_TARGET = 8 * 1024
MAX_HEAD = 32 * 1024
HEAD_S = 10.0
"""The time limit for a head: from the connection, or from the first byte of a later request."""

LINGER_S = 1.0
"""How long further bytes of a refused client are discarded: an immediate close could lose the response."""

SHUTDOWN_GRACE_S = 0.5
"""How long an idle connection stays open when the server stops: a request may be in transit on it."""

_TARGET_TOO_LONG = Problem(414, f"the path and query are longer than {MAX_TARGET} bytes")
_HEAD_TOO_LONG = Problem(431, f"the request's head is longer than {MAX_HEAD} bytes")
_TOO_SLOW = Problem(408, f"the request's head did not arrive within {HEAD_S:g} s")
_NOT_HTTP = Problem(400, "this is not an HTTP/1.1 request")


class _Refused(Exception):
    """Stops the parser; `_refusal` is the reason."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """Refuses a head that is too long or too slow."""

    _in_head = False
    _head = 0  # parsed bytes of the head
    _waiting = 0  # bytes received since the chunk in which the head started, parsed or not
    _refusal = _NOT_HTTP
    _refused = False
    _shutting_down = False
    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer for the first head."""
        super().connection_made(transport)
        self._clock = self.loop.call_later(HEAD_S, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the received bytes; refuse a head that does not end."""
        if self._refused:
            return
        if self._in_head:
            self._waiting += len(data)
        super().data_received(data)
        # the parser reports a name or value only when it ends: one that never ends is caught here
        if self._in_head and self._waiting > MAX_HEAD and not self._refused:
            self._refuse(_HEAD_TOO_LONG)

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
        """Stop counting."""
        self._in_head = False
        self._stop_clock()
        super().on_headers_complete()
        if self._shutting_down and self.cycle:
            self.cycle.keep_alive = False  # the response announces it, so the client sends nothing more here

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

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - `_refusal` names the exceeded bound
        """Answer a request that the parser rejected."""
        self._refuse(self._refusal)

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
        self.flow.resume_reading()
        if self.cycle and not self.cycle.response_complete:
            self.cycle.keep_alive = False  # the connection closes after the response
            return
        self.transport.write(self._bytes(problem))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.close)

    def _bytes(self, problem: Problem) -> bytes:
        response = problem.response()
        headers = [*self.server_state.default_headers, *response.raw_headers, (b"connection", b"close")]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        return STATUS_LINE[problem.status] + lines + b"\r\n" + bytes(response.body)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
