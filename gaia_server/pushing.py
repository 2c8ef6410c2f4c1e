"""What is pushed to WebSocket clients: live, and to those that come back what they missed.

Violations and alerts go through the table of messages (`storage.push_messages`), also on the way to the clients of the
process that adds them: so all clients of all processes are sent the same ones in the same order.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from gaia_server.app_state import Server
from gaia_server.push import replay
from gaia_server.push.hub import Client, Message
from gaia_server.storage import push_messages

LEFT_S = 2.0
"""A process that still runs has stored the message about a refusal long before."""


async def broadcast(server: Server, kind: str, data: Any) -> None:
    """Send a message to all clients."""
    await _publish(server, kind, server.hub.publish(Message.of(kind, data, datetime.now(UTC))))


async def push(server: Server, watch: Callable[[], Awaitable[object]]) -> None:
    """Store messages about the refusals since the last call; send all new messages, whichever process stored them.

    `watch` evaluates the alerts: what `stats` say of them is never older than an `alert` message. Raises Unavailable.
    """
    newest = server.replay.newest or await _read_newest(server)
    if violations := server.pending.take():
        await push_messages.append(server.store, violations)
    found = await push_messages.after(server.store, newest)
    if any(message.kind == "alert" for message in found):
        await watch()
    for message in found:
        await _publish(server, message.kind, replay.publish(message, server.hub, server.replay))
    if len(found) == push_messages.AT_ONCE:
        return  # there may be more
    async with server.read:
        server.read.notify_all()


async def push_left(server: Server) -> None:
    """Store messages about refusals whose process was killed, or lost the database, before it could.

    Raises Unavailable.
    """
    if left := await push_messages.left(server.store, LEFT_S):
        await push_messages.append(server.store, left)


async def resume(server: Server, client: Client, since: datetime) -> None:
    """Queue what a client missed after `since`, part by part. Returns when it is sent live messages.

    Clients take turns, one part in each round of the event loop: so a thousand of them do not delay requests.
    """
    async with server.read:
        await server.read.wait_for(lambda: server.replay.newest is not None)
        if since != replay.NOW:  # it may come from a process that has read more
            await server.read.wait()  # for a reading that may have been under way when it came
            await server.read.wait()
    server.replay.start(client, since, datetime.now(UTC))
    while client.resuming and not client.overflowed:
        async with server.turns:
            await asyncio.sleep(0)
        server.replay.refill(client, datetime.now(UTC))
        await client.drained.wait()


async def _read_newest(server: Server) -> datetime:
    newest, messages = await push_messages.newest(server.store, replay.MOST + 1)
    for message in messages:
        server.replay.add(message)
    server.replay.newest = newest
    return newest


async def _publish(server: Server, kind: str, chunks: Iterator[int]) -> None:
    """Send a message in chunks, so that requests are answered in between."""
    for _ in chunks:
        await asyncio.sleep(0)
    server.metrics.pushed.labels(kind).inc()
