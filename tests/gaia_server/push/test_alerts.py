"""Alerts: when a rule fires and resolves, and that each process reports each change once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gaia_server.push.alerts import METRICS, AlertRule, AlertWatch, Episode, Step, step

START = datetime(2026, 2, 26, 10, tzinfo=UTC)
RULE = AlertRule(
    name="a",
    metric="violations_per_minute",
    rule_id=None,
    threshold=100,
    clear_threshold=50,
    for_s=0,
    severity="warning",
    enabled=True,
    id=1,
    rule_name=None,
    muted_until=None,
    pending_since=None,
    created_at=START,
    updated_at=START,
)
WAITING = replace(RULE, for_s=30)
PENDING = replace(WAITING, pending_since=START - timedelta(seconds=10))
DUE = replace(WAITING, pending_since=START - timedelta(seconds=30))


@pytest.mark.parametrize(
    ("rule", "value", "firing", "expected"),
    [
        (RULE, 100, False, Step.NOTHING),
        (RULE, 101, False, Step.FIRE),
        (RULE, 101, True, Step.NOTHING),
        (RULE, 51, True, Step.NOTHING),  # between both thresholds it stays as it is
        (RULE, 51, False, Step.NOTHING),
        (RULE, 50, True, Step.RESOLVE),
        (WAITING, 101, False, Step.WAIT),
        (PENDING, 101, False, Step.NOTHING),
        (PENDING, 100, False, Step.FORGET),
        (DUE, 101, False, Step.FIRE),
        (DUE, 100, False, Step.FORGET),
        (WAITING, 50, True, Step.RESOLVE),
        (RULE, None, True, Step.NOTHING),  # the servers restart: what fires goes on
        (RULE, None, False, Step.NOTHING),
        (DUE, None, False, Step.FORGET),
    ],
)
def test_steps(rule: AlertRule, value: int | None, firing: bool, expected: Step) -> None:
    """A rule fires above its threshold, after its time, and resolves at its clear threshold."""
    assert step(rule, value, START, firing=firing) is expected


@pytest.mark.parametrize(
    ("rule", "expected"), [(RULE, Step.FIRE), (WAITING, Step.NOTHING), (PENDING, Step.FORGET), (DUE, Step.FORGET)]
)
def test_a_time_in_which_nobody_measured_does_not_count(rule: AlertRule, expected: Step) -> None:
    """While no process has measured lately, no rule waits; one without a time fires."""
    assert step(rule, 101, START, firing=False, observed=False) is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "more than 100 requests were refused within a minute"),
        ({"rule_id": 1, "rule_name": "ip"}, "more than 100 requests were refused by ip within a minute"),
        (
            {"metric": "limit_utilisation_percent", "threshold": 80, "rule_name": "ip", "for_s": 10},
            "a client has used more than 80 % of its limit ip, for 10 s",
        ),
        (
            {"metric": "error_percent", "threshold": 5},
            "more than 5 % of the requests within a minute failed",
        ),
    ],
)
def test_words(fields: dict[str, object], expected: str) -> None:
    """The words have the rule's own numbers."""
    assert replace(RULE, **fields).says == expected  # type: ignore[arg-type]


def test_every_metric_has_words() -> None:
    """No metric leaves a part of its words open."""
    for metric in METRICS:
        says = replace(RULE, metric=metric).says
        assert "100" in says
        assert "{" not in says


def episode(number: int, *, over: bool = False, by: str | None = None) -> Episode:
    """Return the alert's nth episode."""
    fired_at = START + timedelta(hours=number)
    resolved = (3, fired_at + timedelta(minutes=2)) if over else (None, None)
    acknowledged = (fired_at + timedelta(minutes=1), by) if by else (None, None)
    return Episode(number, "a", "warning", "says", 100, 101, fired_at, *resolved, *acknowledged)


def test_only_firing_alerts_are_open() -> None:
    """An alert that resolved is no longer told as firing; one that was acknowledged is, by whom."""
    watch = AlertWatch()
    watch.update([episode(1), episode(2)])
    watch.update([episode(1, over=True), episode(2, by="ada")])
    assert [(one["id"], one["acknowledged_by"]) for one in watch.to_json()["firing"]] == [(2, "ada")]


def test_alert_message() -> None:
    """The message of a resolved alert has the time it fired and the current value, and who acknowledged it."""
    data = episode(0, over=True, by="ada").to_json()
    assert (data["since"], data["at"]) == ("2026-02-26T10:00:00.000Z", "2026-02-26T10:02:00.000Z")
    assert (data["state"], data["value"], data["threshold"]) == ("resolved", 3, 100)
    assert (data["acknowledged_by"], data["acknowledged_at"]) == ("ada", "2026-02-26T10:01:00.000Z")


def test_values_of_slow_metrics_stay_until_they_are_measured_again() -> None:
    """An evaluation of the fast metrics replaces only their values."""
    slow = replace(RULE, id=2, metric="limit_utilisation_percent")
    watch = AlertWatch()
    watch.measured([(RULE, 1), (slow, 2)], slow=True)
    watch.measured([(RULE, 3)], slow=False)
    assert [one["value"] for one in watch.to_json()["watched"]] == [3, 2]
    watch.measured([], slow=True)
    assert watch.to_json()["watched"] == []
