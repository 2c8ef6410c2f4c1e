"""Expected increases for sent requests, as a table."""

import pytest

from gaia_checks.probes.monitoring.expected_increase import (
    REFUSED,
    SENT,
    ExpectedIncrease,
    Kind,
    Scrape,
    expected,
    invented_label,
    wrong_durations,
    wrong_time,
)
from gaia_checks.target import prometheus_text


def scrape(text: str, started_s: float = 0.0, finished_s: float = 0.0) -> Scrape:
    """A scrape with this text."""
    return Scrape(started_s, finished_s, prometheus_text.read(text))


def by(increases: list[ExpectedIncrease], name: str, **labels: str) -> float:
    """Return by how much a series must grow."""
    (found,) = (increase.by for increase in increases if (increase.name, increase.labels) == (name, labels))
    return found


def test_sent_requests_must_be_counted() -> None:
    """Served requests by their route; refused ones, which were not routed, by status, decision and rule."""
    found = expected({kind: kind.times for kind in SENT}, "7")
    requests, seconds = "gaia_http_requests_total", "gaia_http_request_duration_seconds_count"
    assert by(found, requests, method="GET", status="200", route="/health") == 4
    assert by(found, seconds, route="/health") == 4
    assert by(found, requests, method="GET", status="429") == 3
    assert by(found, requests, method="GET", status="404") == 2
    assert by(found, "gaia_rate_limit_decisions_total", decision="admitted") == 11
    assert by(found, "gaia_rate_limit_decisions_total", decision="denied", scope="api_key") == 3
    assert by(found, "gaia_rate_limit_rule_decisions_total", decision="denied", rule_id="7") == 3
    assert by(found, "gaia_rate_limit_violations_total", scope="api_key", limit_type="requests_per_minute") == 3
    assert by(found, "gaia_rate_limit_decision_duration_seconds_count") == 14
    assert by(found, "gaia_rate_limit_batch_size_sum") == 14
    assert by(found, "process_cpu_seconds_total") > 0


def test_what_was_not_answered_need_not_be_counted() -> None:
    """A wrongly answered request is not expected to increase anything."""
    found = expected({Kind("/health", 4): 1, REFUSED: 0}, "7")
    assert by(found, "gaia_http_request_duration_seconds_count", route="/health") == 1
    assert by(found, "gaia_rate_limit_violations_total", scope="api_key", limit_type="requests_per_minute") == 0


@pytest.mark.parametrize(
    ("before", "after", "missed"),
    [
        ('a{b="c"} 1', 'a{b="c"} 4', False),
        ('a{b="c"} 1', 'a{b="c"} 40', False),
        ("", 'a{b="c"} 3', False),
        ('a{b="c",d="e"} 1', 'a{b="c",d="e"} 2\na{b="c",d="f"} 2', False),
        ('a{b="c"} 1', 'a{b="c"} 3', True),
        ('a{b="c"} 9', 'a{b="c"} 3', True),
        ('a{b="c"} 1', 'a{b="d"} 9', True),
        ('a{b="c"} 1', "", True),
        ('a{b="c"} 1', 'a{b="c"} NaN', True),
    ],
)
def test_a_counter_that_did_not_grow_is_missed(before: str, after: str, missed: bool) -> None:
    """Other clients may add; a counter that restarted, is missing or is no number did not increase."""
    found = ExpectedIncrease("a", 3, {"b": "c"}).missed(scrape(before), scrape(after))
    assert (found is not None) == missed


def test_the_sentence_names_the_series() -> None:
    """The fault has the labels, the increase and the expected increase."""
    fault = ExpectedIncrease("a", 3, {"b": "c", "d": "e"}).missed(scrape(""), scrape('a{b="c",d="e"} 2'))
    assert fault == "a b=c d=e: grew by 2 instead of 3 or more"


@pytest.mark.parametrize(
    ("uptime_s", "wrong"),
    [(100.5, False), (101.0, False), (100.0, True), (100.3, True), (101.3, True), (0.5, True)],
)
def test_uptime_moves_as_time_does(uptime_s: float, wrong: bool) -> None:
    """These scrapes are 0.5 to 1 s apart: a smaller uptime increase is cached, a larger one another process."""
    before = scrape("gaia_uptime_seconds 100", 50.0, 50.25)
    after = scrape(f"gaia_uptime_seconds {uptime_s}", 50.75, 51.0)
    assert (wrong_time(before, after) is not None) == wrong


@pytest.mark.parametrize(
    ("counted", "took_s", "wrong"), [(3, 0.9, False), (3, 900, True), (4, 900, False), (2, 900, False)]
)
def test_requests_take_no_longer_than_there_was_time(counted: int, took_s: float, wrong: bool) -> None:
    """Three were sent within a second; where others were counted too, nothing is known."""
    name = "gaia_http_request_duration_seconds"
    series = f'{name}_count{{route="/health"}} {counted}\n{name}_sum{{route="/health"}} {took_s}'
    found = list(wrong_durations({Kind("/health", 3): 3}, scrape("", 50.0, 50.1), scrape(series, 50.9, 51.0)))
    fault = f"{name}_sum route=/health: grew by 900.000 within 1.000 s"
    assert found == [fault if wrong else None]


def test_a_path_without_a_route_is_no_label() -> None:
    """What has no route is counted as unknown, not by its path."""
    name = "gaia_http_requests_total"
    assert invented_label(scrape(f'{name}{{route="unknown"}} 2')) is None
    assert "every client can" in str(invented_label(scrape(f'{name}{{route="/api/admin/quotas/nothing"}} 2')))
