"""What a client that reconnects missed. A pure core: no socket, no database.

Every process keeps the newest messages in memory, so a thousand clients that come back at once cost no query. A client
is sent them part by part; when nothing is left, it receives live messages. Its position decides which ones: it is sent
a message only if that is later than the last one it was sent, so none is lost or sent twice in between.
"""

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gaia_server.encoding import timestamp
from gaia_server.push.hub import LIVE_ONLY, Client, Hub, Message

MOST = 250
"""The number of messages that a process keeps, and a client can be sent."""

WINDOW = timedelta(minutes=5)
"""How far a client can be behind."""

NOW = datetime.max.replace(tzinfo=UTC)
"""The position of a client that has received nothing, and wants nothing earlier."""

PART = 20
"""How many messages are queued for a client at once: fewer than its outbox holds."""


@dataclass(slots=True)
class Replay:
    """The newest violation and alert messages, in the order of their positions."""

    messages: list[Message] = field(default_factory=list)
    newest: datetime | None = None  # the latest position; None: the messages were not read yet
    dropped: datetime = LIVE_ONLY  # the latest position that is no longer kept

    def add(self, message: Message) -> None:
        """Keep a message, which is later than all others; drop the earliest beyond MOST."""
        self.messages.append(message)
        self.newest = message.position
        for old in self.messages[:-MOST]:
            self.dropped = old.position
        del self.messages[:-MOST]

    def start(self, client: Client, since: datetime, now: datetime) -> None:
        """Let a client be sent what is later than `since`. The messages must have been read."""
        assert self.newest is not None  # noqa: S101 - `resume` waits for it
        client.complete = since >= now - WINDOW
        client.position = min(max(since, now - WINDOW), self.newest)

    def refill(self, client: Client, now: datetime) -> None:
        """Queue the next part of what a client missed; after the last one `resumed`, and then live messages."""
        client.complete &= client.position >= self.dropped
        first = bisect.bisect_right(self.messages, client.position, key=lambda message: message.position)
        missed = self.messages[first : first + PART]
        for message in missed:
            client.replay(message)
        if first + PART >= len(self.messages):
            client.resuming = False
            resumed = {
                "since": timestamp(client.position),
                "replayed": client.replayed,
                "complete": client.complete,
            }
            client.put(Message.of("resumed", resumed, now))


def publish(message: Message, hub: Hub, replay: Replay) -> Iterator[int]:
    """Keep a stored message and queue it for all clients, as `Hub.publish` does.

    It is kept first: a client that resumes while others are served finds it, and is not sent it live.
    """
    replay.add(message)
    yield from hub.publish(message)
