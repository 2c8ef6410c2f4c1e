"""uvicorn's WebSocket protocol with the bounds it lacks: on the frames of a client, and on one that does not read.

The server needs nothing from its clients but an occasional pong, so a client that sends many frames is closed.
"""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.frames import CloseCode
from websockets.http11 import Response
from websockets.server import ServerProtocol

from gaia_server.problem import Problem

MAX_FRAMES = 200
WINDOW_S = 10.0
"""A client that sends more than MAX_FRAMES within WINDOW_S is closed."""

PIECE = 512
"""The number of bytes parsed at once: at most 85 frames, each of which may demand an answer."""

LINGER_S = 15.0
"""How long a closed connection waits for the client; longer than uvicorn waits for the client's close frame."""


class _Handshake(ServerProtocol):
    """Refuses a handshake in the format of every other error."""

    def reject(self, status: Any, text: str) -> Response:
        """Return the refusal as problem details."""
        refused = super().reject(status, text)
        answer = Problem(refused.status_code, text.partition("\n")[0] or refused.reason_phrase).response()
        headers = Headers([("Connection", "close"), *answer.headers.items()])
        return Response(refused.status_code, refused.reason_phrase, headers, bytes(answer.body))


class BoundedWebSocketProtocol(WebSocketsSansIOProtocol):
    """Closes a client that sends too many frames, and drops one that does not read."""

    _linger: asyncio.TimerHandle | None = None

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = _Handshake(max_size=config.ws_max_size, logger=self.conn.logger)
        self._frames = 0  # since the start of the window
        self._window = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Parse the received bytes piece by piece, until the client is closed."""
        if self.handshake_initiated and not self.handshake_complete:
            self.transport.abort()  # RFC 6455 section 4.1: a client waits for the response
            return
        for start in range(0, len(data), PIECE):
            if self.transport.is_closing():
                return
            super().data_received(data[start : start + PIECE])
        if not self.handshake_initiated:
            self._refuse_handshake()

    def handle_events(self) -> None:
        """Count the frames; close a client that sends too many."""
        now = self.loop.time()
        if now - self._window > WINDOW_S:
            self._frames, self._window = 0, now
        self._frames += len(self.conn.events)
        super().handle_events()
        fragments = len(self.frames)  # of one message: empty ones do not count towards its size
        if max(self._frames, fragments) > MAX_FRAMES:
            self._fail(CloseCode.POLICY_VIOLATION, f"more than {MAX_FRAMES} frames within {WINDOW_S:g} s")

    def send_receive_event_to_app(self) -> None:
        """Pass a message on; close a client whose text is not UTF-8, where uvicorn would log an error."""
        try:
            if self.curr_msg_data_type == "text":
                b"".join(self.frames).decode()
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA, "text must be UTF-8")
        else:
            super().send_receive_event_to_app()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        super().connection_lost(exc)
        if self._linger is not None:
            self._linger.cancel()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Drop a client that does not take what was sent: closing would wait for it forever."""
        super().on_task_complete(task)
        if not self.disconnected:
            self._linger = self.loop.call_later(LINGER_S, self.transport.abort)

    def _fail(self, code: CloseCode, reason: str) -> None:
        if not self.transport.is_closing():
            self.conn.fail(code, reason)
            self.handle_parser_exception()

    def _refuse_handshake(self) -> None:
        output = b"".join(self.conn.data_to_send())
        self.transport.write(output or self.conn.reject(400, "this is not a WebSocket handshake").serialize())
        self.transport.close()
