"""Violations to push to WebSocket clients."""

import json
from datetime import UTC, datetime

from gaia_server.limiting.decision import Standing
from gaia_server.push.violations import MAX_PENDING, NOTIFICATION, Pending, notifications

NOW = datetime(2026, 2, 26, 10, tzinfo=UTC)


def refusal(key: str) -> Standing:
    """Return one refusal."""
    return Standing(1, "r" * 100, "ip", "requests_per_second", 5, key, False, 0, 1_000_000, NOW)


def test_summed_per_key() -> None:
    """Refusals of one key by one rule become one message."""
    pending = Pending()
    for key in ("a", "b", "a"):
        pending.add(refusal(key), "config")
    assert [(taken["key"], taken["hits"]) for taken in pending.take()] == [("a", 2), ("b", 1)]
    assert pending.take() == []


def test_bounded() -> None:
    """Whatever the number of refused keys, a push fits into one database notification."""
    pending = Pending()
    for number in range(1000):
        pending.add(refusal(f"{number:0>208}"), "config")
    taken = pending.take()
    assert len(taken) == MAX_PENDING
    (payload,) = notifications("x" * 100, taken)
    assert len(payload) < NOTIFICATION


def test_split_when_escaped() -> None:
    """Names full of characters that JSON escapes are split over several notifications, none of them too long."""
    pending = Pending()
    for number in range(MAX_PENDING):
        pending.add(refusal(f"session:{number:02}" + '"' * 198), "config")
    taken = pending.take()
    payloads = list(notifications("x" * 100, taken))
    assert max(map(len, payloads)) < NOTIFICATION
    assert [violation for payload in payloads for violation in json.loads(payload)["violations"]] == taken
