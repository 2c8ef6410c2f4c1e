"""The building blocks of the seeded faults."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from websockets.frames import CloseCode

from gaia_server.http.bounded_websocket import BoundedWebSocketProtocol
from tests.faults.way import Way, head

_PROBLEM = '{"type":"about:blank","title":"seeded"}'


def from_json(record: Mapping[str, Any]) -> Way:
    """Return the way that its `to_json` has written."""
    ways: dict[str, type[Way]] = {each.__name__: each for each in Way.__subclasses__()}
    return ways[record["way"]](**{name: value for name, value in record.items() if name != "way"})


# answers -----------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Answered(Way):
    """A fixed answer to every request."""

    status: int
    body: str = _PROBLEM

    async def spoil(self, app: Any, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002 - answers itself
        """Answer at once."""
        media = b"application/problem+json" if self.status >= 400 else b"application/json"
        headers = [(b"content-type", media), (b"content-length", str(len(self.body)).encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body.encode()})


@dataclass(kw_only=True)
class Changed(Way):
    """Changes answers and WebSocket messages: another status, other text, or without a header."""

    of: int = 0  # only answers of this status
    status: int = 0
    without: str = "-"  # the name of a header, as a regular expression
    old: str = ""  # a regular expression
    new: str = ""

    async def spoil(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Collect an answer until it is complete, and change it."""
        start_message: dict[str, Any] = {}
        body = b""

        async def sent(message: Any) -> None:
            nonlocal body
            if message["type"] == "http.response.start" and self.of in (0, message["status"]):
                start_message.update(message)
            elif message["type"] == "http.response.body" and start_message:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    changed = self._in_other_words(body)
                    await send(self._start(start_message, len(changed)))
                    await send({"type": "http.response.body", "body": changed})
            elif message["type"] == "websocket.send":
                await send({**message, "text": self._in_other_words(message["text"].encode()).decode()})
            else:
                await send(message)

        await app(scope, receive, sent)

    def _start(self, start: Mapping[str, Any], length: int) -> dict[str, Any]:
        kept = [
            (name, str(length).encode() if name == b"content-length" else value)
            for name, value in start["headers"]
            if not re.fullmatch(self.without, name.decode())
        ]
        return {**start, "status": self.status or start["status"], "headers": kept}

    def _in_other_words(self, body: bytes) -> bytes:
        return re.sub(self.old.encode(), self.new.encode(), body) if self.old else body


@dataclass(kw_only=True)
class Slow(Way):
    """An answer that takes its time."""

    seconds: float
    beside: str = ""  # only while such requests arrive, at least once a second
    _beside_s: float = field(default=0.0, init=False)

    async def serve(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Count the concurrent requests."""
        if re.search(self.beside, head(scope), re.DOTALL):
            self._beside_s = time.monotonic()
        await super().serve(app, scope, receive, send)

    async def spoil(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Wait before anything is done."""
        if time.monotonic() - self._beside_s < 1:
            await asyncio.sleep(self.seconds)
        await app(scope, receive, send)


@dataclass(kw_only=True)
class Cached(Way):
    """Repeats the first answer for ever, like a cache that never expires."""

    _kept: list[Any] = field(default_factory=list, init=False)

    async def spoil(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Send one request, then repeat its answer."""
        if not self._kept:

            async def keep(message: Any) -> None:
                self._kept.append(message)

            await app(scope, receive, keep)
        for message in self._kept:
            await send(message)


@dataclass(kw_only=True)
class Unlimited(Way):
    """Counts a request by the run's own key, limited to 1000 a second, instead of its own key."""

    async def spoil(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Shorten the key `client-<run>-<purpose>`."""
        headers = [
            (name, b"-".join(value.split(b"-")[:2]) if name == b"x-api-key" else value)
            for name, value in scope["headers"]
        ]
        await app({**scope, "headers": headers}, receive, send)


# the WebSocket -----------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Muted(Way):
    """Some messages are never sent."""

    text: str  # a regular expression

    async def spoil(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Drop them."""

        async def sent(message: Any) -> None:
            if not re.search(self.text, message.get("text", "")):
                await send(message)

        await app(scope, receive, sent)


@dataclass(kw_only=True)
class Late(Way):
    """Delays some messages, and those after them."""

    text: str  # a regular expression
    seconds: float

    async def spoil(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Delay them."""

        async def sent(message: Any) -> None:
            if re.search(self.text, message.get("text", "")):
                await asyncio.sleep(self.seconds)
            await send(message)

        await app(scope, receive, sent)


@dataclass(kw_only=True)
class Dropped(Way):
    """The server closes the connection; with no delay it refuses it."""

    after_s: float

    async def spoil(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Close it with 1011, like a server with an internal error."""
        try:
            async with asyncio.timeout(self.after_s):
                await app(scope, receive, send)
        except TimeoutError:
            await send({"type": "websocket.close", "code": 1011})


# the process -------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Saying(Way):
    """A line in the log, once."""

    line: str

    async def spoil(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Write it at the first request."""
        if self._matched == 1:
            sys.stderr.write(self.line + "\n")
            sys.stderr.flush()
        await app(scope, receive, send)


@dataclass(kw_only=True)
class Allocating(Way):
    """Allocates memory at the first request."""

    megabytes: int
    by_a_child: bool = False
    _held: bytes = field(default=b"", init=False)
    _child: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    async def spoil(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Allocate it once."""
        if self._matched == 1:
            self._take()
        await app(scope, receive, send)

    def _take(self) -> None:
        """Write to every page, so that it becomes resident."""
        if self.by_a_child:
            child_code = f"import sys; data = b'x' * {self.megabytes}_000_000; sys.stdin.read()"
            self._child = subprocess.Popen((sys.executable, "-c", child_code), stdin=subprocess.PIPE)
        else:
            self._held = b"x" * self.megabytes * 1_000_000

    def end(self) -> None:
        """Free it."""
        self._held = b""
        if self._child is not None and self._child.stdin is not None:
            self._child.stdin.close()
            self._child.wait()


@dataclass(kw_only=True)
class Keeping(Way):
    """Keeps something of every request: memory, or else a file descriptor."""

    kilobytes: int = 0
    _kept: list[Any] = field(default_factory=list, init=False)

    async def spoil(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Keep it, and serve."""
        self._kept.append(b"x" * self.kilobytes * 1000 if self.kilobytes else os.dup(2))
        await app(scope, receive, send)


@dataclass(kw_only=True)
class Crashing(Way):
    """Kills the process after a request has been served."""

    async def spoil(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Serve, then exit by SIGKILL, as on memory exhaustion."""
        await app(scope, receive, send)
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(kw_only=True)
class Unable(Way):
    """A server that does not start."""

    def begin(self) -> None:
        """End with a reason."""
        sys.exit("seeded: this release does not start any more")


@dataclass(kw_only=True)
class Closing(Way):
    """A server that closes WebSockets with another code when it stops."""

    code: int

    def begin(self) -> None:
        """Replace what uvicorn calls for each of them."""
        code = CloseCode(self.code)
        BoundedWebSocketProtocol.shutdown = lambda protocol: protocol._fail(code, "seeded")  # type: ignore[method-assign,assignment,attr-defined]  # noqa: SLF001 - seeded


@dataclass(kw_only=True)
class Forgetting(Way):
    """A server that executes a statement in its database at its start."""

    statement: str

    def begin(self) -> None:
        """Wait for the database, as it may come back at the same time."""
        deadline_s = time.monotonic() + 15
        while not self._told() and time.monotonic() < deadline_s:
            time.sleep(0.1)

    def _told(self) -> bool:
        try:
            with psycopg.connect(os.environ["DATABASE_URL"]) as database:
                database.execute(self.statement)
        except psycopg.OperationalError:
            return False
        return True
