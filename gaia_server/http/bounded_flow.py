"""uvicorn's flow control with the bounds it lacks: on unparsed bytes, on clients that do not read; and a late close."""

import asyncio
import socket

from uvicorn.protocols.http.flow_control import FlowControl

SLOW_S = 30.0
"""How long a client may take to read what is buffered for it, 64 KiB and a response."""

SEND_BUFFER = 128 * 1024
"""What the kernel buffers for one client (it doubles the value); by itself it would buffer up to 4 MiB."""

LINGER_S = 1.0
"""How long further bytes of a refused client are discarded: an immediate close could lose the response."""


class LingeringTransport:
    """A transport whose `close` ends what is sent and goes on discarding for a while what is received."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.write = transport.write
        self.is_closing = transport.is_closing

    def close(self) -> None:
        """Send the end of the stream; close after `LINGER_S`."""
        if self._transport.can_write_eof():
            self._transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER_S, self._transport.close)


class BoundedFlow(FlowControl):
    """Reads nothing more while received bytes wait; drops a client that does not read."""

    _unparsed = False
    _slow: asyncio.TimerHandle | None = None

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    def limit_reading(self, *, unparsed: bool, waiting: bool) -> None:
        """Stop reading while received bytes are `unparsed`; then read on, unless a request is `waiting`."""
        was_unparsed, self._unparsed = self._unparsed, unparsed
        if unparsed:
            self.pause_reading()
        elif was_unparsed and not waiting:
            self.resume_reading()

    def resume_reading(self) -> None:
        """Read on, unless received bytes wait."""
        if not self._unparsed:
            super().resume_reading()

    def pause_writing(self) -> None:
        """Start the timer: the client reads more slowly than the server writes."""
        super().pause_writing()
        self.linger()

    def resume_writing(self) -> None:
        """Stop the timer, unless the connection is closing: the rest has to be read, too."""
        super().resume_writing()
        if not self._transport.is_closing():
            self.stop()

    def linger(self) -> None:
        """Drop the connection after a time: closing it would wait forever for a client that does not read."""
        if self._slow is None:
            self._slow = asyncio.get_running_loop().call_later(SLOW_S, self._transport.abort)

    def stop(self) -> None:
        """Stop the timer."""
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None
