"""Alerts over time."""

from datetime import UTC, datetime, timedelta

import pytest

from gaia_server.alerts import KEPT, Watch

START = datetime(2026, 2, 26, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "states"),
    [
        ([0, 100, 100], []),
        ([0, 101, 500, 101], ["firing"]),
        ([101, 100], ["firing", "resolved"]),
        ([101, 0, 101], ["firing", "resolved", "firing"]),
    ],
)
def test_fires_once_and_resolves(values: list[int], states: list[str]) -> None:
    """More than 100 fires; only a change is told."""
    watch = Watch()
    told = [watch.see(value, START + timedelta(seconds=second)) for second, value in enumerate(values)]
    assert [alert.state for alert in told if alert] == states


def test_since() -> None:
    """A resolved alert says since when it fired."""
    watch = Watch()
    watch.see(101, START)
    resolved = watch.see(3, START + timedelta(minutes=2))
    assert resolved
    assert (resolved.since, resolved.at) == ("2026-02-26T10:00:00.000Z", "2026-02-26T10:02:00.000Z")
    assert (resolved.value, watch.firing) == (3, None)


def test_past_is_bounded() -> None:
    """Memory does not grow with alerts; the newest stand first."""
    watch = Watch()
    for turn in range(3 * KEPT):
        watch.see(101 if turn % 2 == 0 else 0, START + timedelta(seconds=turn))
    assert len(watch.past) == KEPT
    assert watch.past[0].state == "resolved"
