"""WebSocket fan-out without sockets."""

import json
from datetime import UTC, datetime

import pytest

from gaia_server.push import hub
from gaia_server.push.hub import CHUNK, OUTBOX_SIZE, Client, Hub, Message

NOW = datetime(2026, 2, 26, 10, tzinfo=UTC)


def joined(place: Hub) -> Client:
    """A client of the hub."""
    client = place.join()
    assert client
    return client


def test_each_client_counts_for_itself() -> None:
    """A message is the same for all but for its number, which begins at 1 for everybody."""
    place = Hub()
    early = joined(place)
    list(place.publish(Message.of("stats", {"n": 1}, NOW)))
    late = joined(place)
    list(place.publish(Message.of("heartbeat", {}, NOW)))
    assert [json.loads(text)["seq"] for text in early.take()] == [1, 2]
    assert [json.loads(text) for text in late.take()] == [
        {"type": "heartbeat", "timestamp": "2026-02-26T10:00:00.000Z", "data": {}, "seq": 1}
    ]


def test_a_client_that_does_not_read_is_given_up() -> None:
    """Its outbox is bounded; the others get everything."""
    place = Hub()
    slow, quick = joined(place), joined(place)
    got = 0
    for _ in range(OUTBOX_SIZE + 10):
        list(place.publish(Message.of("stats", {}, NOW)))
        got += len(list(quick.take()))
    assert (slow.overflown, len(slow.outbox)) == (True, 0)
    assert (quick.overflown, got) == (False, OUTBOX_SIZE + 10)


def test_broadcast_comes_in_chunks() -> None:
    """Others get their turn between chunks."""
    place = Hub()
    for _ in range(CHUNK + 1):
        joined(place)
    assert list(place.publish(Message.of("stats", {}, NOW))) == [CHUNK, 1]


def test_leaving() -> None:
    """Who left gets nothing more, and may leave twice."""
    place = Hub()
    client = joined(place)
    place.leave(client)
    place.leave(client)
    list(place.publish(Message.of("stats", {}, NOW)))
    assert not list(client.take())


def test_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a bound on clients."""
    monkeypatch.setattr(hub, "MAX_CLIENTS", 1)
    place = Hub()
    joined(place)
    assert place.join() is None
