"""WebSocket fan-out. A pure core: messages in, texts per client out; no socket, no clock.

Every client has its own sequence of numbers from 1, so that it can tell that it missed nothing, and its own
bounded outbox. One that does not read loses its place, never the server's memory.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gaia_server.encoding import encode, timestamp

OUTBOX_SIZE = 64
MAX_CLIENTS = 10_000
CHUNK = 200
"""How many clients are served before others get their turn on the event loop."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is told to all clients, encoded once; only `seq` differs."""

    kind: str  # stats, heartbeat, violation, alert
    head: str

    @classmethod
    def of(cls, kind: str, data: Any, now: datetime) -> "Message":
        """Encode a message: `{"type", "timestamp", "data", "seq"}`."""
        return cls(kind, encode({"type": kind, "timestamp": timestamp(now), "data": data})[:-1])

    def text(self, seq: int) -> str:
        """Return the message for one client."""
        return f'{self.head},"seq":{seq}}}'


@dataclass(eq=False, slots=True)
class Client:
    """One connection's place in the hub."""

    outbox: deque[str] = field(default_factory=deque)
    seq: int = 0
    overflown: bool = False  # it did not read in time: give it up
    ready: asyncio.Event = field(default_factory=asyncio.Event)  # set while something waits to be sent

    def put(self, message: Message) -> None:
        """Queue a message, or give the client up if too many wait."""
        if len(self.outbox) >= OUTBOX_SIZE:
            self.overflown = True
            self.outbox.clear()
        if not self.overflown:
            self.seq += 1
            self.outbox.append(message.text(self.seq))
        self.ready.set()

    def take(self) -> Iterator[str]:
        """Yield what is to be sent, in order."""
        self.ready.clear()
        while self.outbox:
            yield self.outbox.popleft()


@dataclass(slots=True)
class Hub:
    """All clients."""

    clients: set[Client] = field(default_factory=set)

    def join(self) -> Client | None:
        """Give a place to a new connection; None if there is none left."""
        if len(self.clients) >= MAX_CLIENTS:
            return None
        client = Client()
        self.clients.add(client)
        return client

    def leave(self, client: Client) -> None:
        """Give the place up."""
        self.clients.discard(client)

    def publish(self, message: Message) -> Iterator[int]:
        """Queue a message for everybody; yields after each chunk, with its size, so that others get their turn."""
        everybody = list(self.clients)
        for start in range(0, len(everybody), CHUNK):
            chunk = everybody[start : start + CHUNK]
            for client in chunk:
                client.put(message)
            yield len(chunk)
