"""WebSocket fan-out. A pure core: messages in, texts per client out; no socket, no clock.

Every client has its own sequence numbers from 1, so that it can detect a lost message, and its own bounded outbox.
A client that does not read is disconnected, so memory stays bounded.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gaia_server.encoding import encode, timestamp

OUTBOX_SIZE = 64
MAX_CLIENTS = 10_000
CHUNK = 200
"""How many clients are served before the event loop runs other tasks."""

LIVE_ONLY = datetime.min.replace(tzinfo=UTC)
"""The position of a message that is not replayed, and of a client that was sent none of the others."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message to all clients, encoded once; only `seq` differs."""

    kind: str  # stats, heartbeat, violation, alert, resumed
    head: str
    position: datetime = LIVE_ONLY

    @classmethod
    def of(cls, kind: str, data: Any, now: datetime) -> "Message":
        """Encode a message: `{"type", "timestamp", "data", "seq"}`."""
        return cls(kind, encode({"type": kind, "timestamp": timestamp(now), "data": data})[:-1])

    @classmethod
    def stored(cls, kind: str, data: Any, position: datetime) -> "Message":
        """Encode a stored message, whose timestamp is its position: a client resumes from there."""
        return cls(kind, cls.of(kind, data, position).head, position)

    def text(self, seq: int) -> str:
        """Return the message for one client."""
        return f'{self.head},"seq":{seq}}}'


@dataclass(eq=False, slots=True)
class Client:
    """One connected client."""

    outbox: deque[str] = field(default_factory=deque)
    seq: int = 0
    overflowed: bool = False  # it did not read in time: close it
    ready: asyncio.Event = field(default_factory=asyncio.Event)  # set while the outbox is not empty
    drained: asyncio.Event = field(default_factory=asyncio.Event)  # set while it is
    position: datetime = LIVE_ONLY  # of the latest stored message that it was sent
    resuming: bool = False  # it is sent what it missed: no stored message live
    complete: bool = True  # and that is all it missed
    replayed: int = 0

    def put(self, message: Message) -> None:
        """Queue a message, unless it is a stored one that a replay sends or has sent."""
        if message.position is LIVE_ONLY:
            self._queue(message)
        elif not self.resuming and message.position > self.position:
            self.position = message.position
            self._queue(message)

    def replay(self, message: Message) -> None:
        """Queue a message that the client missed."""
        self.position = message.position
        self.replayed += 1
        self._queue(message)

    def _queue(self, message: Message) -> None:
        """Queue a message; mark the client as overflowed if too many are queued."""
        if len(self.outbox) >= OUTBOX_SIZE:
            self.overflowed = True
            self.outbox.clear()
        if not self.overflowed:
            self.seq += 1
            self.outbox.append(message.text(self.seq))
        self.ready.set()
        self.drained.clear()

    def take(self) -> Iterator[str]:
        """Yield the queued texts in order."""
        self.ready.clear()
        while self.outbox:
            yield self.outbox.popleft()
        self.drained.set()


@dataclass(slots=True)
class Hub:
    """All connected clients."""

    clients: set[Client] = field(default_factory=set)

    def join(self) -> Client | None:
        """Add a client; None if there are already MAX_CLIENTS."""
        if len(self.clients) >= MAX_CLIENTS:
            return None
        client = Client()
        self.clients.add(client)
        return client

    def leave(self, client: Client) -> None:
        """Remove a client."""
        self.clients.discard(client)

    def publish(self, message: Message) -> Iterator[int]:
        """Queue a message for all clients; yield the size of each chunk, so that other tasks can run in between."""
        clients = list(self.clients)
        for start in range(0, len(clients), CHUNK):
            chunk = clients[start : start + CHUNK]
            for client in chunk:
                client.put(message)
            yield len(chunk)
