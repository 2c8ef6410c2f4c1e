"""The messages of a soak client, and their times. Pure."""

import json
from typing import Any

import pytest

from gaia_checks.recorders.soak import message_gaps
from gaia_checks.recorders.soak.message_gaps import Listener

KEY = "gaia-soak-1"


def message(kind: str, seq: int, data: dict[str, Any] | None = None) -> str:
    """A message as the server sends it."""
    record = {"type": kind, "timestamp": "2026-11-23T12:00:00.000Z", "seq": seq, "data": data or {}}
    return json.dumps(record)


def listener(*heard: tuple[float, str | bytes]) -> Listener:
    """A client that connected at 100 s and received these messages at these times."""
    found = Listener(100.0, (KEY,))
    for now_s, text in heard:
        found.take(text, now_s)
    return found


@pytest.mark.parametrize(
    ("times", "longest_s"),
    [
        ([], 20.0),  # never anything
        ([105, 110, 115, 120], 5.0),
        ([112, 115, 120], 12.0),  # a late first one
        ([105, 113, 118], 8.0),  # a hole
        ([102, 104], 16.0),  # it stopped
    ],
)
def test_the_longest_silence_counts_before_between_and_after(times: list[float], longest_s: float) -> None:
    """Gaps from the handshake at 100 s to the end at 120 s count."""
    found = listener(*((now_s, message("stats", seq)) for seq, now_s in enumerate(times)))
    assert found.longest_s("stats", 120.0) == longest_s


def test_each_kind_has_its_own_silence() -> None:
    """Stats and heartbeats have separate gaps."""
    found = listener((105, message("stats", 1)), (110, message("stats", 2)))
    assert (found.longest_s("stats", 110), found.longest_s("heartbeat", 110)) == (5, 10)


def test_silence_ends_with_the_connection() -> None:
    """A dropped client's gap ends with its drop."""
    found = listener((105, message("stats", 1)))
    found.drop("1006", 107.0)
    assert found.longest_s("stats", 500.0) == 5.0
    assert found.dropped == "after 7.0 s: 1006"


def test_only_the_own_violation_is_heard() -> None:
    """Only the first violation of the own key counts."""
    found = listener((101, message("violation", 1, {"key": "ip:192.0.2.7"})))
    assert found.violation_s is None
    for now_s, seq in ((102, 2), (103, 3)):
        found.take(message("violation", seq, {"key": f"api_key:{KEY}"}), now_s)
    assert found.violation_s == 102


def test_violations_of_all_keys_are_awaited() -> None:
    """A client that received one of two violations still waits."""
    found = Listener(100.0, ("one-key", "another-key"))
    found.take(message("violation", 1, {"key": "api_key:another-key"}), 101)
    assert found.violation_s is None
    found.take(message("violation", 2, {"key": "api_key:one-key"}), 102)
    assert found.violation_s == 102


@pytest.mark.parametrize(
    ("alerts", "wrong"),
    [
        ({"firing": [{"name": "a"}], "watched": [{"name": "a", "value": 3, "threshold": 100}]}, "a value of 3"),
        ({"firing": [{"name": "a"}], "watched": [{"name": "a", "value": 101, "threshold": 100}]}, None),
        ({"firing": [], "watched": [{"name": "a", "value": 3, "threshold": 100}]}, None),
        ({"firing": [{"name": "b"}], "watched": [{"name": "a", "value": 3, "threshold": 100}]}, None),
        (
            {
                "firing": [{"name": "a"}],
                "watched": [{"name": "a", "value": 70, "threshold": 80, "clear_threshold": 60}],
            },
            None,
        ),
        (
            {
                "firing": [{"name": "a"}],
                "watched": [{"name": "a", "value": 60, "threshold": 80, "clear_threshold": 60}],
            },
            "a value of 60, not above 60",
        ),
        ({"firing": [{}]}, None),
        (None, None),
    ],
)
def test_an_alert_below_its_threshold_fires_needlessly(alerts: Any, wrong: str | None) -> None:
    """Only stats that show both can contradict themselves."""
    found = message_gaps.needless_alert(message("stats", 1, {"alerts": alerts}))
    assert found is None if wrong is None else wrong in str(found)


def test_an_alert_that_resolves_is_no_alert() -> None:
    """An alert fires until it resolves; stats report it to later clients."""
    found = listener((101, message("alert", 1, {"state": "firing"})))
    assert (found.firing, found.alerts_s) == (True, [101])
    found.take(message("alert", 2, {"state": "resolved"}), 102)
    assert (found.firing, found.alerts_s) == (False, [101])
    found.take(message("stats", 3, {"alerts": {"firing": [{}]}}), 103)
    assert found.firing


def test_another_alert_is_not_the_gates() -> None:
    """Where the server watches the contract's alert, one of another rule neither fires nor resolves it."""
    ours, other = {"name": message_gaps.ALERT}, {"name": "memory"}
    found = listener((100, message("stats", 1, {"alerts": {"firing": [other], "watched": [ours, other]}})))
    found.take(message("alert", 2, {**other, "state": "firing"}), 101)
    assert (found.firing, found.alerts_s) == (False, [])
    found.take(message("alert", 3, {**ours, "state": "firing"}), 102)
    found.take(message("alert", 4, {**other, "state": "resolved"}), 103)
    assert (found.firing, found.alerts_s) == (True, [102])


@pytest.mark.parametrize("frame", ["{", b"\xff", "[]", '{"type": "alert"}', '{"type": "stats", "data": 3}'])
def test_nothing_that_comes_breaks_the_client(frame: str | bytes) -> None:
    """Malformed messages are counted, and the client continues."""
    assert len(message_gaps.wrong([listener((101, frame))])) == 1


def test_a_gap_in_the_numbers_is_detected() -> None:
    """A lost message leaves a gap in seq."""
    found = listener((101, message("stats", 1)), (102, message("stats", 3)))
    assert message_gaps.wrong([found]) == ["message 2: seq 3 instead of 2"]


def test_the_worst_client_speaks_for_all() -> None:
    """The longest gap of all clients counts; without clients it is 0."""
    both = [listener((105, message("stats", 1))), listener((108, message("stats", 1)))]
    assert message_gaps.longest_s(both, "stats", 108) == 8
    assert message_gaps.longest_s([], "stats", 108) == 0
