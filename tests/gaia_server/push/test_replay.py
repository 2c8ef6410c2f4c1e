"""What a client that reconnects is sent: every missed message once, in order, and then the live ones."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaia_server.encoding import timestamp
from gaia_server.push import hub as hub_module
from gaia_server.push import replay as replay_module
from gaia_server.push.hub import Client, Hub, Message
from gaia_server.push.replay import MOST, PART, WINDOW, Replay, publish

NOW = datetime(2026, 2, 26, 10, tzinfo=UTC)
MS = timedelta(milliseconds=1)


def message(number: int) -> Message:
    """Return a message; its position is `number` ms before or after NOW."""
    return Message.stored("violation", {"number": number}, NOW + number * MS)


def filled(count: int) -> Replay:
    """Return a replay of the messages 1 to `count`."""
    replay = Replay(newest=NOW)
    for number in range(1, count + 1):
        replay.add(message(number))
    return replay


def resuming(hub: Hub) -> Client:
    """Return a client that joined and is to be sent what it missed."""
    client = hub.join()
    assert client
    client.resuming = True
    return client


def sent(client: Client) -> list[dict[str, Any]]:
    """Return the queued messages."""
    return [json.loads(text) for text in client.take()]


def resume(replay: Replay, client: Client, since: datetime, now: datetime = NOW) -> list[dict[str, Any]]:
    """Let a client be sent all it missed; return that."""
    client.resuming = True
    replay.start(client, since, now)
    found = []
    while client.resuming:
        replay.refill(client, now)
        assert len(client.outbox) <= PART + 1
        found += sent(client)
    return found


def numbers(messages: list[dict[str, Any]]) -> list[int]:
    """Return the numbers of the violations."""
    return [one["data"]["number"] for one in messages if one["type"] == "violation"]


@pytest.mark.parametrize("since", [0, 1, 19, 20, 21, 57, 58])
def test_what_is_later_is_sent_in_parts(since: int) -> None:
    """A client is sent exactly what is later than its position, then where it is, without a gap in `seq`."""
    messages = resume(filled(58), Client(), NOW + since * MS)
    assert numbers(messages) == list(range(since + 1, 59))
    assert [one["seq"] for one in messages] == list(range(1, len(messages) + 1))
    assert messages[-1]["type"] == "resumed"
    assert messages[-1]["data"] == {"since": timestamp(NOW + 58 * MS), "replayed": 58 - since, "complete": True}


def test_a_message_says_where_to_resume() -> None:
    """The timestamp of a message is its position."""
    (first, *_) = resume(filled(3), Client(), NOW)
    assert numbers(resume(filled(3), Client(), datetime.fromisoformat(first["timestamp"]))) == [2, 3]


@pytest.mark.parametrize("since", [NOW + timedelta(days=1), datetime.max.replace(tzinfo=UTC)])
def test_a_later_time_misses_nothing(since: datetime) -> None:
    """From a time in the future nothing is replayed, and the next message is sent."""
    replay, hub = filled(3), Hub()
    client = resuming(hub)
    (resumed,) = resume(replay, client, since)
    assert resumed["data"] == {"since": timestamp(NOW + 3 * MS), "replayed": 0, "complete": True}
    list(publish(message(4), hub, replay))
    assert numbers(sent(client)) == [4]


def test_bounded() -> None:
    """Of more than MOST messages the newest are kept; the answer says whether an older one is missing."""
    replay = filled(MOST + 2)
    assert len(replay.messages) == MOST
    messages = resume(replay, Client(), NOW + MS)
    assert numbers(messages) == list(range(3, MOST + 3))
    assert messages[-1]["data"]["complete"] is False
    assert resume(replay, Client(), NOW + 2 * MS)[-1]["data"]["complete"] is True


def test_after_more_than_five_minutes() -> None:
    """A client that was away for longer is sent the last five minutes; the answer says that this may not be all."""
    later = NOW + WINDOW + 2 * MS
    messages = resume(filled(4), Client(), NOW, later)
    assert numbers(messages) == [3, 4]
    assert messages[-1]["data"]["complete"] is False
    assert resume(filled(4), Client(), NOW + 2 * MS, later)[-1]["data"]["complete"] is True


def test_messages_that_are_dropped_meanwhile() -> None:
    """The answer to a client that is overtaken while it is sent what it missed says that this was not all."""
    replay, client = filled(MOST), resuming(Hub())
    replay.start(client, NOW, NOW)
    replay.refill(client, NOW)
    for number in range(MOST + 1, MOST + PART + 3):
        replay.add(message(number))
    messages = sent(client)
    while client.resuming:
        replay.refill(client, NOW)
        messages += sent(client)
    assert numbers(messages) == [*range(1, PART + 1), *range(PART + 3, MOST + PART + 3)]
    assert messages[-1]["data"]["complete"] is False


def publishing(hub: Hub, replay: Replay, count: int) -> Iterator[None]:
    """Publish messages, interrupted after each chunk of clients."""
    for number in range(1, count + 1):
        for _ in publish(message(number), hub, replay):
            yield


@given(
    since=st.integers(0, 4),
    schedule=st.lists(st.sampled_from(["publish", "publish", "join", "refill"]), min_size=10, max_size=60),
)
def test_no_gap_and_no_double_between_replay_and_live(since: int, schedule: list[str]) -> None:
    """However joining, replaying and publishing interleave, each client is sent every later message once, in order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_module, "CHUNK", 1)
        patch.setattr(replay_module, "PART", 2)
        hub, replay = Hub(), Replay(newest=NOW)
        work = publishing(hub, replay, 8)
        present = hub.join()
        assert present
        expected = {present: range(1, 9)}
        for step in schedule:
            behind = [client for client in expected if client.resuming]
            if step == "publish":
                next(work, None)
            elif step == "join":
                client = resuming(hub)
                replay.start(client, NOW + since * MS, NOW)
                expected[client] = range((client.position - NOW) // MS + 1, 9)
            elif behind:
                replay.refill(behind[0], NOW)
        for _ in work:
            pass
        for client, due in expected.items():
            while client.resuming:
                replay.refill(client, NOW)
            assert numbers(sent(client)) == list(due)
