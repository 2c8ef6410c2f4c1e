"""Violations on their way to whoever watches."""

from datetime import UTC, datetime

from gaia_server.events import MAX_PENDING, Pending
from gaia_server.limiter import Standing
from gaia_server.problem import encode

NOW = datetime(2026, 2, 26, 10, tzinfo=UTC)


def refusal(key: str) -> Standing:
    """One refusal."""
    return Standing(1, "r" * 100, "ip", "requests_per_second", 5, key, False, 0, 1_000_000, NOW)


def test_summed_per_key() -> None:
    """Refusals of one key by one rule become one message."""
    pending = Pending()
    for key in ("a", "b", "a"):
        pending.add(refusal(key), "config")
    assert [(taken["key"], taken["hits"]) for taken in pending.take()] == [("a", 2), ("b", 1)]
    assert pending.take() == []


def test_bounded() -> None:
    """However many keys are refused, a push fits into one notification of the database."""
    pending = Pending()
    for number in range(1000):
        pending.add(refusal(f"{number:0>208}"), "config")
    taken = pending.take()
    assert len(taken) == MAX_PENDING
    assert len(encode({"from": "x" * 100, "violations": taken})) < 8000
