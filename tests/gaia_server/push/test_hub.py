"""WebSocket fan-out without sockets."""

import json
from datetime import UTC, datetime

import pytest

from gaia_server.push import hub
from gaia_server.push.hub import CHUNK, OUTBOX_SIZE, Client, Hub, Message

NOW = datetime(2026, 2, 26, 10, tzinfo=UTC)


def joined(fan_out: Hub) -> Client:
    """Add a client to a hub."""
    client = fan_out.join()
    assert client
    return client


def test_each_client_counts_for_itself() -> None:
    """A message is the same for all clients except for its number, which starts at 1 for each."""
    fan_out = Hub()
    early = joined(fan_out)
    list(fan_out.publish(Message.of("stats", {"n": 1}, NOW)))
    late = joined(fan_out)
    list(fan_out.publish(Message.of("heartbeat", {}, NOW)))
    assert [json.loads(text)["seq"] for text in early.take()] == [1, 2]
    assert [json.loads(text) for text in late.take()] == [
        {"type": "heartbeat", "timestamp": "2026-02-26T10:00:00.000Z", "data": {}, "seq": 1}
    ]


def test_a_client_that_does_not_read_overflows() -> None:
    """Its outbox is bounded; other clients receive everything."""
    fan_out = Hub()
    slow, quick = joined(fan_out), joined(fan_out)
    got = 0
    for _ in range(OUTBOX_SIZE + 10):
        list(fan_out.publish(Message.of("stats", {}, NOW)))
        got += len(list(quick.take()))
    assert (slow.overflowed, len(slow.outbox)) == (True, 0)
    assert (quick.overflowed, got) == (False, OUTBOX_SIZE + 10)


def test_broadcast_comes_in_chunks() -> None:
    """A broadcast yields between chunks of clients."""
    fan_out = Hub()
    for _ in range(CHUNK + 1):
        joined(fan_out)
    assert list(fan_out.publish(Message.of("stats", {}, NOW))) == [CHUNK, 1]


def test_leaving() -> None:
    """A client that left receives nothing more, and may leave twice."""
    fan_out = Hub()
    client = joined(fan_out)
    fan_out.leave(client)
    fan_out.leave(client)
    list(fan_out.publish(Message.of("stats", {}, NOW)))
    assert not list(client.take())


def test_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of clients is bounded."""
    monkeypatch.setattr(hub, "MAX_CLIENTS", 1)
    fan_out = Hub()
    joined(fan_out)
    assert fan_out.join() is None
