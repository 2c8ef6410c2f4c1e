"""uvicorn's HTTP protocol with the bounds it lacks: how long a request's head may be, and how long it may take.

What is refused here never reaches the application: it is answered as a problem all the same, and the connection ends.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gaia_server.problem import Problem

MAX_TARGET = 8 * 1024
MAX_HEAD = 32 * 1024
HEAD_S = 10.0
"""How long a head may take to come: from the connection, or from the first byte of a later request."""

LINGER_S = 1.0
"""How long what a refused client still sends is read and thrown away: closed at once, it would not see the answer."""

FAREWELL_S = 0.5
"""How long a connection without a request stays open when the server leaves: one may be under way on it."""

_TARGET_TOO_LONG = Problem(414, f"the path and query are longer than {MAX_TARGET} bytes")
_HEAD_TOO_LONG = Problem(431, f"the request's head is longer than {MAX_HEAD} bytes")
_TOO_SLOW = Problem(408, f"the request's head did not come within {HEAD_S:g} s")
_NOT_HTTP = Problem(400, "this is not an HTTP/1.1 request")


class _Refused(Exception):
    """Stops the parser; `_refusal` says why."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """Refuses a head that is too long or too slow."""

    _in_head = False
    _head = 0  # bytes of the head, as far as they were parsed
    _waiting = 0  # bytes that came since the head began, parsed or not, but for those it began with
    _refusal = _NOT_HTTP
    _refused = False
    _leaving = False
    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._clock = self.loop.call_later(HEAD_S, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; give up on a head that does not end."""
        if self._refused:
            return
        if self._in_head:
            self._waiting += len(data)
        super().data_received(data)
        # the parser does not tell a name or a value before it ends: one that never does is seen here
        if self._in_head and self._waiting > MAX_HEAD and not self._refused:
            self._refuse(_HEAD_TOO_LONG)

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        self._in_head, self._head, self._waiting = True, 0, 0
        if self._clock is None:
            self._clock = self.loop.call_later(HEAD_S, self._too_slow)

    def on_url(self, url: bytes) -> None:
        """Take a part of the path and query."""
        super().on_url(url)
        if len(self.url) > MAX_TARGET:
            self._stop_parser(_TARGET_TOO_LONG)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or count a trailer: in those nobody says who asks, as a proxy may pass on its client's."""
        if self._in_head:
            super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Stop counting."""
        self._in_head = False
        self._stop_clock()
        super().on_headers_complete()
        if self._leaving and self.cycle:
            self.cycle.keep_alive = False  # said in the answer, so that nothing more is sent here

    def shutdown(self) -> None:
        """Leave: what runs is finished; an idle or new connection may have a request under way, and has it answered."""
        self._leaving = True
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(FAREWELL_S, self._close_unless_busy)
        else:
            super().shutdown()

    def _close_unless_busy(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - ours says which bound it was
        """Answer what the parser gave up on."""
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
            self.transport.close()  # it asked for nothing: nothing is answered

    def _refuse(self, problem: Problem) -> None:
        """Answer and read no more than it takes to be heard; while answers are still to come, end with the last."""
        self._refused = True
        self._stop_clock()
        self.flow.resume_reading()
        if self.cycle and not self.cycle.response_complete:
            self.cycle.keep_alive = False  # when it is answered the connection ends
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
