"""Alerts of real server processes notify people: once, again after a failure, and later while they are muted."""

import socket
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.gaia_server.conftest import Running, Start, poll
from tests.gaia_server.webhooks import Receiver, receiver

RULE = {"name": "any", "metric": "memory_mb", "threshold": 1}


@pytest.fixture
def received() -> Iterator[Receiver]:
    """A server that receives notifications."""
    with receiver() as found:
        yield found


def create(server: Running, **fields: Any) -> str:
    """Create a rule that fires at once; return its URL."""
    answer = server.request("POST", f"{server.home}/alerts/rules", json={**RULE, **fields})
    assert answer.status_code == 201, answer.text
    return f"{server.home}/alerts/rules/{answer.json()['id']}"


def notification(server: Running) -> tuple[str | None, str | None]:
    """Return what became of the newest alert's notifications."""
    items = server.get(f"{server.home}/alerts").json()["items"]
    return (items[0]["notification"], items[0]["notification_failure"]) if items else (None, None)


def retry_now(dsn: str) -> None:
    """Let what waits be due."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "UPDATE rate_limit_alert_notifications SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL"
        )


def test_each_target_is_notified_once(start: Start, received: Receiver) -> None:
    """Two processes on one database notify each URL once that the alert fires, and once that it resolves."""
    urls = f"{received.url}/one, {received.url}/two"
    here, _ = (start(RATE_LIMIT_ENABLED="false", ALERT_URLS=urls) for _ in range(2))
    rule = create(here)
    poll(lambda: notification(here) == ("sent", None))
    assert here.request("DELETE", rule).status_code == 204
    poll(lambda: len(received.bodies) == 4 and notification(here) == ("sent", None))
    assert sorted(zip(received.paths, received.states(), strict=True)) == [
        ("/one", "firing"),
        ("/one", "resolved"),
        ("/two", "firing"),
        ("/two", "resolved"),
    ]
    assert {body["alert"]["name"] for body in received.bodies} == {"any"}


def test_a_failed_notification_is_sent_again(start: Start, received: Receiver) -> None:
    """A failure is in the alert, in /health and in the log, without the URL; the next attempt succeeds."""
    received.statuses = [500]
    server = start(RATE_LIMIT_ENABLED="false", ALERT_URLS=f"{received.url}/canary-path")
    create(server)
    assert poll(lambda: notification(server)[1]) == "refused with status 500"
    assert notification(server)[0] == "pending"
    health = server.get(f"{server.base_url}/health").json()["checks"]["notifications"]
    assert health == {"status": "failing", "failure": "URL 1 of ALERT_URLS: refused with status 500"}
    retry_now(server.dsn)
    poll(lambda: notification(server) == ("sent", None))
    assert received.states() == ["firing", "firing"]
    assert server.get(f"{server.base_url}/health").json()["checks"]["notifications"]["status"] == "enabled"
    (line,) = (line for line in server.lines() if line["msg"] == "an alert's notification failed")
    assert (line["level"], line["cause"], line["attempt"]) == ("warning", "refused with status 500", 1)
    assert "canary-path" not in server.log.read_text()


def test_attempts_end(start: Start, received: Receiver) -> None:
    """After the last attempt a notification is given up, and the alert says so."""
    received.statuses = [503] * 2
    server = start(RATE_LIMIT_ENABLED="false", ALERT_URLS=received.url)
    create(server)
    poll(lambda: notification(server)[1])
    with psycopg.connect(server.dsn) as connection:
        connection.execute("UPDATE rate_limit_alert_notifications SET attempts = 7")
    retry_now(server.dsn)
    poll(lambda: notification(server) == ("failed", "refused with status 503"))


def test_a_mute_stops_further_attempts(start: Start, received: Receiver) -> None:
    """What has failed once is not tried again while its rule is muted."""
    received.statuses = [500]
    server = start(RATE_LIMIT_ENABLED="false", ALERT_URLS=received.url)
    rule = create(server)
    poll(lambda: notification(server) == ("pending", "refused with status 500"))
    assert server.request("POST", f"{rule}/mute", json={"for_s": 3600}).status_code == 200
    retry_now(server.dsn)
    create(server, name="another")
    poll(lambda: received.states() == ["firing", "firing"])  # one after the other: the first had its turn
    assert [body["alert"]["name"] for body in received.bodies] == ["any", "another"]
    assert server.request("POST", f"{rule}/mute", json={"for_s": 0}).status_code == 200
    poll(lambda: [body["alert"]["name"] for body in received.bodies] == ["any", "another", "any"])


def test_a_muted_rule_notifies_when_it_is_no_longer_muted(start: Start, received: Receiver) -> None:
    """A mute delays the notification; nobody hears of an alert that resolved meanwhile."""
    server = start(RATE_LIMIT_ENABLED="false", ALERT_URLS=received.url)
    rule = create(server, threshold=100_000)
    body = {**RULE, "threshold": 1}
    assert server.request("POST", f"{rule}/mute", json={"for_s": 3600}).status_code == 200
    assert server.request("PUT", rule, json=body).status_code == 200
    poll(lambda: notification(server)[0] == "pending")
    assert server.request("PUT", rule, json={**body, "threshold": 100_000}).status_code == 200
    poll(lambda: not server.get(f"{server.home}/alerts?state=firing").json()["items"])
    assert notification(server) == (None, None)
    assert server.request("PUT", rule, json=body).status_code == 200
    poll(lambda: notification(server)[0] == "pending")
    assert received.bodies == []
    assert server.request("POST", f"{rule}/mute", json={"for_s": 0}).status_code == 200
    poll(lambda: notification(server) == ("sent", None))
    assert received.states() == ["firing"]


def test_one_receiver_does_not_delay_another(start: Start, received: Receiver) -> None:
    """While one receiver does not answer, another one is notified of every alert."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        urls = f"http://127.0.0.1:{silent.getsockname()[1]}/, {received.url}"
        server = start(RATE_LIMIT_ENABLED="false", ALERT_URLS=urls)
        rule = create(server)
        connection, _ = silent.accept()  # the first notification is on its way
        with connection:
            poll(lambda: received.states() == ["firing"])
            assert server.request("DELETE", rule).status_code == 204
            poll(lambda: received.states() == ["firing", "resolved"])
            assert notification(server) == ("pending", None)


def test_a_full_queue_drops(start: Start, received: Receiver) -> None:
    """Beyond the bound of the queue a notification is dropped, and its alert says so."""
    server = start(RATE_LIMIT_ENABLED="false", ALERT_URLS=received.url)
    with psycopg.connect(server.dsn) as connection:
        connection.execute(
            "WITH alert AS (INSERT INTO rate_limit_alerts (name, severity, says, threshold, value, fired_at,"
            " resolved_value, resolved_at) VALUES ('old', 'info', 'old', 1, 2, now() - interval '1 hour', 1, now())"
            " RETURNING id) INSERT INTO rate_limit_alert_notifications (alert_id, state, target, next_attempt_at)"
            " SELECT id, 'firing', 1, 'infinity' FROM alert CROSS JOIN generate_series(1, 1000)"
        )
    create(server)
    poll(lambda: notification(server) == ("failed", "too many notifications are queued"))
    assert received.bodies == []


def test_without_urls_nothing_is_queued(start: Start) -> None:
    """Without ALERT_URLS an alert has no notification, and /health no check of it."""
    own = start(RATE_LIMIT_ENABLED="false")
    create(own)
    poll(lambda: own.get(f"{own.home}/alerts").json()["items"])
    assert notification(own) == (None, None)
    assert "notifications" not in own.get(f"{own.base_url}/health").json()["checks"]
