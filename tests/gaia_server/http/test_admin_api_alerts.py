"""The API of alerts: rules, acknowledgements and mutes, in force on every process."""

from typing import Any
from urllib.parse import urlencode

import httpx
import psycopg
import pytest

from tests.gaia_server.conftest import Running, Start, poll, unique

RULES = "/alerts/rules"
FIELDS = {"metric": "violations_per_minute", "threshold": 10}


def created(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    """Create an alert rule."""
    answer = client.post(RULES, json={"name": unique("alert"), **FIELDS, **fields})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/api/admin/quotas{RULES}/{found['id']}"
    return found


def test_a_rule_is_created_read_replaced_and_deleted(client: httpx.Client) -> None:
    """An omitted field takes its default; the list has each rule with its words."""
    rule = created(client)
    assert (rule["clear_threshold"], rule["for_s"], rule["severity"], rule["enabled"]) == (10, 0, "warning", True)
    assert rule["says"] == "more than 10 requests were refused within a minute"
    assert (rule["muted_until"], rule["pending_since"], rule["rule_name"]) == (None, None, None)
    path = f"{RULES}/{rule['id']}"
    assert client.get(path).json() == rule
    wanted = {"name": rule["name"], "metric": "memory_mb", "threshold": 400, "clear_threshold": 300, "for_s": 5}
    replaced = client.put(path, json=wanted).json()
    assert {name: replaced[name] for name in wanted} == wanted
    assert replaced["says"] == "a server process uses more than 400 MB of memory, for 5 s"
    assert replaced in client.get(RULES, params={"limit": 200}).json()["items"]
    assert client.delete(path).status_code == 204
    assert [client.request(method, path, json=wanted).status_code for method in ("GET", "PUT", "DELETE")] == [404] * 3


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "ü"}, "name"),
        ({"name": None}, "name"),
        ({"metric": "weather"}, "metric"),
        ({"metric": ["memory_mb"]}, "metric"),
        ({"metric": "memory_mb", "rule_id": 1}, "rule_id"),
        ({"rule_id": 0}, "rule_id"),
        ({"threshold": -1}, "threshold"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": None}, "threshold"),
        ({"clear_threshold": 1e300}, "clear_threshold"),
        ({"for_s": 86401}, "for_s"),
        ({"severity": "loud"}, "severity"),
        ({"enabled": 1}, "enabled"),
        ({"muted_until": None}, "muted_until"),
    ],
)
def test_invalid_fields_are_named(client: httpx.Client, change: dict[str, Any], field: str) -> None:
    """A refusal names the field."""
    answer = client.post(RULES, json={"name": unique("alert"), **FIELDS, **change})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "violations_per_minute"}, "name"),
        ({"rule_id": 987654321}, "rule_id"),
        ({"clear_threshold": 11}, "clear_threshold"),
    ],
)
def test_conflicts(client: httpx.Client, change: dict[str, Any], field: str) -> None:
    """What only contradicts another row or field is a conflict."""
    rule = created(client)
    body = {"name": unique("alert"), **FIELDS, **change}
    for answer in (client.post(RULES, json=body), client.put(f"{RULES}/{rule['id']}", json=body)):
        assert answer.status_code == 409
        assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_change_by_another_administrator_is_not_overwritten(client: httpx.Client) -> None:
    """`If-Match` names the version; a mute is not another version."""
    rule = created(client)
    path, body = f"{RULES}/{rule['id']}", {"name": rule["name"], **FIELDS, "threshold": 20}
    version = client.get(path).headers["etag"]
    assert client.post(f"{path}/mute", json={"for_s": 60}).headers["etag"] == version
    newer = client.put(path, json=body, headers={"If-Match": version})
    assert newer.status_code == 200
    for method, wanted in (("PUT", body), ("DELETE", None)):
        refused = client.request(method, path, headers={"If-Match": version}, json=wanted)
        assert refused.status_code == 412
        assert refused.headers["etag"] == newer.headers["etag"]
        assert refused.json()["current"]["threshold"] == 20
    assert client.delete(path, headers={"If-Match": newer.headers["etag"]}).status_code == 204


def test_mute(client: httpx.Client) -> None:
    """A rule is muted for a time, and 0 ends that."""
    path = f"{RULES}/{created(client)['id']}/mute"
    assert client.post(path, json={"for_s": 3600}).json()["muted_until"]
    assert client.post(path, json={"for_s": 0}).json()["muted_until"] is None
    for body in ({}, {"for_s": -1}, {"for_s": 31 * 86400}, {"for_s": 1, "until": "x"}):
        assert client.post(path, json=body).status_code == 422
    assert client.post(f"{RULES}/987654321/mute", json={"for_s": 1}).status_code == 404
    assert client.post(f"{RULES}/x/mute", json={"for_s": 1}).status_code == 404


def firing(server: Running) -> dict[str, Any]:
    """Return the firing alert once there is one."""
    found: dict[str, Any] = poll(lambda: server.get(f"{server.home}/alerts?state=firing").json()["items"])[0]
    return found


def test_a_firing_alert_is_acknowledged_on_all_processes(start: Start) -> None:
    """A rule made on one process fires on all; who acknowledges first stays, until it resolves with its rule."""
    here, there = start(RATE_LIMIT_ENABLED="false"), start(RATE_LIMIT_ENABLED="false")
    rule = here.request("POST", f"{here.home}{RULES}", json={"name": "any", "metric": "memory_mb", "threshold": 1})
    alert = firing(here)
    assert (alert["name"], alert["state"], alert["acknowledged_by"]) == ("any", "firing", None)
    path = f"/alerts/{alert['id']}/acknowledge"
    first = here.request("POST", f"{here.home}{path}", json={"by": "Zoë 🦉"})
    again = there.request("POST", f"{there.home}{path}", json={"by": "Bob"})
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json() == firing(there)
    assert first.json()["acknowledged_by"] == "Zoë 🦉"
    filters = ({"acknowledged": "true"}, {"acknowledged": "false"}, {"severity": "warning"}, {"severity": "info"})
    totals = [there.get(f"{there.home}/alerts?{urlencode(one)}").json()["total"] for one in filters]
    assert totals == [1, 0, 1, 0]
    for body in ({}, {"by": ""}, {"by": " "}, {"by": "a "}, {"by": "a\nb"}, {"by": 1}, {"by": "a", "at": "now"}):
        assert here.request("POST", f"{here.home}{path}", json=body).status_code == 422
    assert here.request("DELETE", f"{here.home}{RULES}/{rule.json()['id']}").status_code == 204
    poll(lambda: not there.get(f"{there.home}/alerts?state=firing").json()["items"])
    assert there.request("POST", f"{there.home}{path}", json={"by": "Bob"}).status_code == 409
    assert here.request("POST", f"{here.home}/alerts/9/acknowledge", json={"by": "Bob"}).status_code == 404
    assert here.request("POST", f"{here.home}/alerts/x/acknowledge", json={"by": "Bob"}).status_code == 404


def test_the_history_is_filtered(start: Start) -> None:
    """By severity, and by whether someone has acknowledged an alert."""
    server = start(RATE_LIMIT_ENABLED="false")
    for name, severity in (("taken", "critical"), ("waiting", "info")):
        body = {"name": name, "metric": "memory_mb", "threshold": 1, "severity": severity}
        server.request("POST", f"{server.home}{RULES}", json=body)
    poll(lambda: len(server.get(f"{server.home}/alerts").json()["items"]) == 2)
    ids = {alert["name"]: alert["id"] for alert in server.get(f"{server.home}/alerts").json()["items"]}
    server.request("POST", f"{server.home}/alerts/{ids['taken']}/acknowledge", json={"by": "ada"})
    for query, name in (
        ("acknowledged=true", "taken"),
        ("acknowledged=false", "waiting"),
        ("severity=critical", "taken"),
        ("severity=info&state=firing", "waiting"),
    ):
        found = server.get(f"{server.home}/alerts?{query}").json()["items"]
        assert [alert["name"] for alert in found] == [name], query
    for query in ("acknowledged=1", "severity=loud"):
        assert server.get(f"{server.home}/alerts?{query}").status_code == 422


def test_a_restart_keeps_what_was_set(start: Start) -> None:
    """A firing alert, its acknowledgement and a mute outlive the process; nothing fires a second time."""
    first = start(RATE_LIMIT_ENABLED="false")
    body = {"name": "any", "metric": "memory_mb", "threshold": 1}
    rule_id = first.request("POST", f"{first.home}{RULES}", json=body).json()["id"]
    alert_id = firing(first)["id"]
    alert = first.request("POST", f"{first.home}/alerts/{alert_id}/acknowledge", json={"by": "ada"}).json()
    rule = first.request("POST", f"{first.home}{RULES}/{rule_id}/mute", json={"for_s": 3600}).json()
    first.process.terminate()
    first.process.wait(10)
    second = start(RATE_LIMIT_ENABLED="false")
    assert second.get(f"{second.home}{RULES}/{rule_id}").json() == rule
    poll(lambda: "gaia_alerts_firing 1.0" in second.get(f"{second.base_url}/metrics").text)
    assert second.get(f"{second.home}/alerts").json()["items"] == [alert]


def test_a_process_measures_itself(own: Running) -> None:
    """Memory, pool, load and requests of the last minute are stored, and errors counted among them."""
    own.get(f"{own.home}/alerts")
    with psycopg.connect(own.dsn, autocommit=True) as connection:
        row = poll(
            lambda: connection.execute(
                "SELECT memory_bytes, pool_max, errors, requests, load_percent FROM server_measurements"
                " WHERE requests > 0"
            ).fetchone()
        )
    assert row[0] > 10_000_000
    assert (row[1], row[2]) == (10, 0)
