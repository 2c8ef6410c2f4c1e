"""Checks of live WebSocket messages."""

import json
from typing import Any

import pytest

from gaia_checks.target.ws_messages import Stream

NOW = "2026-02-26T10:00:00.000Z"


def message(kind: str, seq: Any, **changes: Any) -> dict[str, Any]:
    """A correct message, with changes."""
    return {"type": kind, "timestamp": NOW, "seq": seq, "data": {}, **changes}


@pytest.mark.parametrize("kind", ["stats", "heartbeat", "violation", "alert"])
def test_a_good_message_is_taken_by_its_type(kind: str) -> None:
    """The contract has exactly four types."""
    stream = Stream()
    assert stream.take(json.dumps(message(kind, 1))) == kind
    assert stream.take(json.dumps(message(kind, 2))) == kind
    assert (stream.count, stream.wrong) == (2, [])


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{", "no JSON object"),
        (b"{}", "no JSON object"),
        ("[" * 100_000, "no JSON object"),
        ([], "no JSON object"),
        (message("gossip", 2), "type 'gossip'"),
        (message("stats", "2"), "seq '2'"),
        (message("stats", 2.0), "seq 2.0"),
        (message("stats", True), "seq True"),
        (message("stats", 3), "seq 3 instead of 2"),
        (message("stats", 1), "seq 1 instead of 2"),
        (message("stats", 2, data=None), "data of stats"),
        (message("stats", 2, timestamp="2026-02-26T10:00:00"), "timestamp '2026-02-26T10:00:00'"),
        (message("stats", 2, timestamp=7), "timestamp 7"),
    ],
)
def test_a_bad_message_is_named(bad: Any, said: str) -> None:
    """Frames are text of a fixed shape, numbered without gaps."""
    stream = Stream()
    stream.take(json.dumps(message("stats", 1)))
    stream.take(bad if isinstance(bad, str | bytes) else json.dumps(bad))
    assert stream.count == 2
    assert len(stream.wrong) == 1
    assert stream.wrong[0].startswith("message 2: ")
    assert said in stream.wrong[0]


def test_a_lost_message_is_named_once() -> None:
    """After a gap the sequence continues from the received number."""
    stream = Stream()
    for seq in (1, 2, 5, 6):
        stream.take(json.dumps(message("stats", seq)))
    assert stream.wrong == ["message 3: seq 5 instead of 3"]


def test_the_first_message_is_number_one() -> None:
    """Messages lost before the first one are detected too."""
    stream = Stream()
    stream.take(json.dumps(message("stats", 2)))
    assert stream.wrong == ["message 1: seq 2 instead of 1"]
