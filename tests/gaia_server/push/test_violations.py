"""Violations to push to WebSocket clients."""

from datetime import UTC, datetime, timedelta

from gaia_server.limiting.decision import Standing
from gaia_server.push.violations import MAX_PENDING, Pending

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
    """Whatever the number of refused keys, a push has a bounded number of them; what is known is still counted."""
    pending = Pending()
    for number in (*range(1000), 0):
        pending.add(refusal(str(number)), "config")
    taken = pending.take()
    assert len(taken) == MAX_PENDING
    assert taken[0]["hits"] == 2


def test_a_message_is_about_one_second() -> None:
    """Refusals of two seconds are two messages: the database stores them in two rows."""
    pending = Pending()
    for late_s in (0.9, 0.95, 1.1):
        pending.add(refusal("a")._replace(checked_at=NOW + timedelta(seconds=late_s)), "config")
    assert [(taken["occurred_at"], taken["hits"]) for taken in pending.take()] == [
        ("2026-02-26T10:00:00.900Z", 2),
        ("2026-02-26T10:00:01.100Z", 1),
    ]
