"""Two administrators who change the same thing: the later one learns of the earlier change."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from tests.gaia_server.conftest import Running, poll, unique


@pytest.fixture
def rule(server: Running) -> dict[str, Any]:
    """The fields of a stored rule, and its path."""
    stored = server.rule(scope_value=unique("key"), limit_value=5)
    fields = {name: stored[name] for name in ("rule_name", "scope", "scope_value", "limit_type", "limit_value")}
    return {"path": f"/config/{stored['id']}", "fields": fields}


def test_a_rule_that_was_changed_meanwhile(client: httpx.Client, rule: dict[str, Any]) -> None:
    """The later save is refused with both values; based on the new version it is accepted."""
    path, fields = rule["path"], rule["fields"]
    read = client.get(path).headers["etag"]
    first = client.put(path, json={**fields, "limit_value": 6}, headers={"If-Match": read})
    assert (first.status_code, first.headers["etag"]) == (200, client.get(path).headers["etag"])
    mine = {**fields, "limit_value": 7}
    second = client.put(path, json=mine, headers={"If-Match": read})
    assert second.status_code == 412
    problem = second.json()
    assert second.headers["content-type"] == "application/problem+json"
    assert (problem["status"], problem["current"]) == (412, first.json())
    assert problem["wanted"].items() >= mine.items()
    assert client.get(path).json() == first.json()
    assert client.put(path, json=mine, headers={"If-Match": f'"other", {second.headers["etag"]}'}).status_code == 200


def test_a_rule_that_was_changed_is_not_deleted(client: httpx.Client, rule: dict[str, Any]) -> None:
    """A deletion names the version as well; a missing rule is not found."""
    path, fields = rule["path"], rule["fields"]
    read = client.get(path).headers["etag"]
    client.put(path, json={**fields, "limit_value": 6})
    refused = client.delete(path, headers={"If-Match": read})
    assert (refused.status_code, refused.json()["current"]["limit_value"]) == (412, 6)
    assert refused.json()["wanted"] is None
    assert client.delete(path, headers={"If-Match": f"W/{refused.headers['etag']}"}).status_code == 412
    assert client.delete(path, headers={"If-Match": refused.headers["etag"]}).status_code == 204
    assert client.delete(path, headers={"If-Match": "*"}).status_code == 404


def test_without_a_version_the_later_save_wins(client: httpx.Client, rule: dict[str, Any]) -> None:
    """A client that names no version replaces whatever there is."""
    for value in (6, 7):
        assert client.put(rule["path"], json={**rule["fields"], "limit_value": value}).status_code == 200
    assert client.put(rule["path"], json=rule["fields"], headers={"If-Match": "*"}).status_code == 200


def test_a_user_whose_limits_were_changed_meanwhile(server: Running, client: httpx.Client) -> None:
    """Likewise for a user's own limits; counts and scores do not change their version."""
    user = unique("ada")
    path = f"/users/{user}"
    read = client.get(path).headers["etag"]
    client.put(f"/reputation/{user}", json={"score": 30, "reason": "test"})
    first = client.put(path, json={"limits": {"daily_quota": 5}}, headers={"If-Match": read})
    assert (first.status_code, first.headers["etag"]) == (200, client.get(path).headers["etag"])
    server.get(f"{server.base_url}/api/x", headers={"X-User-ID": user})
    assert client.get(path).headers["etag"] == first.headers["etag"]
    mine = {"limits": {"daily_quota": 6, "requests_per_hour": 2}}
    second = client.put(path, json=mine, headers={"If-Match": read})
    assert second.status_code == 412
    assert (second.json()["current"], second.json()["wanted"]) == ({"limits": {"daily_quota": 5}}, mine)
    assert client.delete(path, headers={"If-Match": read}).status_code == 412
    assert client.put(path, json=mine, headers={"If-Match": second.headers["etag"]}).status_code == 200
    assert client.delete(path, headers={"If-Match": client.get(path).headers["etag"]}).status_code == 204
    assert client.delete(path, headers={"If-Match": "*"}).status_code == 404


@pytest.mark.parametrize("kind", ["rule", "user"])
def test_of_concurrent_saves_one_wins(server: Running, client: httpx.Client, rule: dict[str, Any], kind: str) -> None:
    """Of saves at the same time that are based on the same version exactly one is accepted."""
    path = rule["path"] if kind == "rule" else f"/users/{unique('eve')}"
    headers = {**server.headers, "If-Match": client.get(path).headers["etag"]}

    def wanted(number: int) -> dict[str, Any]:
        return {**rule["fields"], "limit_value": number} if kind == "rule" else {"limits": {"daily_quota": number}}

    async def save() -> list[int]:
        async with httpx.AsyncClient(base_url=server.home, headers=headers, timeout=30) as http:
            answers = await asyncio.gather(*(http.put(path, json=wanted(number)) for number in range(10, 22)))
        return [answer.status_code for answer in answers]

    assert Counter(asyncio.run(save())) == {200: 1, 412: 11}


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize(
    ("path", "table", "fields"),
    [
        (
            "/config",
            "rate_limit_configs",
            {"rule_name": "a", "scope": "ip", "limit_type": "daily_quota", "limit_value": 9},
        ),
        ("/alerts/rules", "rate_limit_alert_rules", {"name": "a", "metric": "memory_mb", "threshold": 9}),
    ],
)
def test_any_version_is_any_version(
    server: Running, client: httpx.Client, path: str, table: str, fields: dict[str, Any], method: str
) -> None:
    """`If-Match: *` replaces or deletes also what is being changed at the same time."""
    name = next(iter(fields))
    created = client.post(path, json={**fields, name: unique("rule")}).json()
    wanted, url = {**fields, name: unique("rule")}, f"{path}/{created['id']}"
    with psycopg.connect(server.dsn) as other, ThreadPoolExecutor(1) as pool:
        other.execute(
            f"UPDATE {table} SET {name} = %s, updated_at = clock_timestamp() WHERE id = %s",
            (unique("b"), created["id"]),
        )
        answer = pool.submit(client.request, method, url, json=wanted, headers={"If-Match": "*"})
        poll(lambda: waits_for(server.dsn, other.info.backend_pid))
        other.commit()
        assert answer.result().status_code in (200, 204)
    if method == "PUT":
        assert client.get(url).json()[name] == wanted[name]
    else:
        assert client.get(url).status_code == 404


def waits_for(dsn: str, pid: int) -> bool:
    """Whether a session waits for the one with this process id."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid)))", (pid,)
        )
        return found.fetchone() == (True,)
