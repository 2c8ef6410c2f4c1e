"""Users' limits over real HTTP."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from gaia_server.storage.users import rule_name
from tests.gaia_server.conftest import Running, fresh_database, servers, unique
from tests.support import plain_http


@pytest.fixture(scope="module")
def server(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that accepts user names from its clients."""
    with fresh_database(postgres, template) as dsn, servers(dsn, tmp_path_factory.mktemp("users")) as start:
        running = start(TRUSTED_PROXIES="127.0.0.1")
        running.key = running.unlimited()
        yield running


def send(server: Running, user: str, times: int = 1) -> list[int]:
    """Send requests as a user; return the statuses."""
    return [plain_http.get(f"{server.base_url}/api/x", headers={"X-User-ID": user}).status_code for _ in range(times)]


def path_of(user: str) -> str:
    """Return the path of a user's limits."""
    return f"/users/{quote(user, safe='').replace('.', '%2E')}"


@pytest.mark.parametrize("user", ["ada", "a/b", "..", '"quoted"?#%2F', "x" * 200])
def test_life_of_a_users_limits(server: Running, client: httpx.Client, user: str) -> None:
    """For any user name, limits are set, enforced, counted, changed and removed."""
    path = path_of(user)
    answer = client.put(path, json={"limits": {"daily_quota": 3, "requests_per_hour": 50}})
    assert answer.status_code == 200, answer.text
    assert answer.json()["user"] == user
    assert send(server, user, 4) == [404, 404, 404, 429]
    found = {limit["limit_type"]: limit for limit in client.get(path).json()["limits"]}
    daily, hourly = found["daily_quota"], found["requests_per_hour"]
    assert (daily["used"], daily["remaining"], daily["rule_name"]) == (3, 0, rule_name(user, "daily_quota"))
    assert (hourly["used"], hourly["remaining"], hourly["own"]) == (3, 47, True)
    assert daily["resets_at"].endswith("T00:00:00.000Z")
    assert hourly["resets_at"] > "2026"

    changed = client.put(path, json={"limits": {"daily_quota": 4, "weekly_quota": 9}}).json()["limits"]
    assert [(one["limit_type"], one["used"], one["rule_id"] == daily["rule_id"]) for one in changed] == [
        ("daily_quota", 3, True),
        ("weekly_quota", 0, False),
    ]
    assert send(server, user, 2) == [404, 429]
    assert [client.delete(path).status_code for _ in range(2)] == [204, 404]
    assert client.get(path).json()["limits"] == []
    assert send(server, user) == [404]


def test_rules_for_all_users_are_listed_too(server: Running, client: httpx.Client) -> None:
    """All applicable limits are listed, own or not; limits for one resource stay when the others are set."""
    user = unique("user")
    for_all_users = server.rule(scope="user", limit_value=70)
    for_one_resource = server.rule(scope="user", scope_value=user, limit_value=7, resource_type="usage")
    found = client.put(path_of(user), json={"limits": {"monthly_quota": 9}}).json()["limits"]
    assert [(one["limit_value"], one["own"], one["resource_type"]) for one in found] == [
        (70, False, None),
        (7, True, "usage"),
        (9, True, None),
    ]
    client.delete(f"/config/{for_all_users['id']}")
    client.delete(path_of(user))
    assert client.get(f"/config/{for_one_resource['id']}").status_code == 404


def test_concurrent_updates_of_the_same_limits(client: httpx.Client) -> None:
    """All updates succeed, and the limits exist once."""
    body = {"limits": {"daily_quota": 5, "monthly_quota": 50}}
    with ThreadPoolExecutor(8) as pool:
        for path in (path_of(unique("user")) for _ in range(5)):
            answers = list(pool.map(lambda path: client.put(path, json=body), [path] * 8))
            assert {answer.status_code for answer in answers} == {200}
            assert [one["limit_value"] for one in client.get(path).json()["limits"]] == [5, 50]
            client.delete(path)


def test_a_name_that_is_taken(server: Running, client: httpx.Client) -> None:
    """Another rule with the name of a user's limit is not overwritten."""
    user = unique("user")
    server.rule(rule_name=rule_name(user, "daily_quota"), limit_value=1, scope_value="x")
    answer = client.put(path_of(user), json={"limits": {"daily_quota": 5}})
    assert (answer.status_code, client.get(path_of(user)).json()["limits"]) == (409, [])


def test_users_are_sorted_by_their_most_used_limit(server: Running, client: httpx.Client) -> None:
    """Users are listed by the most used of their limits."""
    half, full, little = (unique(word) for word in ("half", "full", "little"))
    for user, kind, times in ((half, "requests_per_hour", 2), (full, "daily_quota", 4), (little, "weekly_quota", 1)):
        client.put(path_of(user), json={"limits": {kind: 4, "monthly_quota": 1000}})
        send(server, user, times)
    listed = {one["user"]: one for one in client.get("/users").json()["items"]}
    assert [user for user in listed if user in (half, full, little)] == [full, half, little]
    assert (listed[half]["limit_type"], listed[half]["used"], listed[half]["limit_value"]) == (
        "requests_per_hour",
        2,
        4,
    )
    assert (listed[full]["score"], listed[full]["tier"]) == (50, "standard")


BAD: list[tuple[str, str, Any, int]] = [
    ("PUT", "/users/ada", {}, 422),
    ("PUT", "/users/ada", [], 422),
    ("PUT", "/users/ada", {"limits": []}, 422),
    ("PUT", "/users/ada", {"limits": {"yearly_quota": 1}}, 422),
    ("PUT", "/users/ada", {"limits": {"daily_quota": -1}}, 422),
    ("PUT", "/users/ada", {"limits": {"daily_quota": 1.5}}, 422),
    ("PUT", "/users/ada", {"limits": {"daily_quota": True}}, 422),
    ("PUT", "/users/ada", {"limits": {}, "user": "ada"}, 422),
    ("PUT", "/users/a%20b", {"limits": {}}, 404),
    ("GET", "/users/", None, 404),
    ("GET", "/users/%00", None, 404),
    ("GET", f"/users/{'x' * 201}", None, 404),
    ("GET", "/users?limit=0", None, 422),
    ("GET", "/users/ada?limit=1", None, 422),
    ("PATCH", "/users/ada", None, 405),
    ("PUT", "/reputation/ada", {"score": 50}, 422),
    ("PUT", "/reputation/ada", {"score": 101, "reason": "x"}, 422),
    ("PUT", "/reputation/ada", {"score": 50, "reason": "two\nlines"}, 422),
    ("PUT", "/reputation/ada", {"score": 50, "reason": "\ud800"}, 422),
    ("PUT", "/reputation/ada", {"score": 50, "reason": "x", "vip": 1}, 422),
    ("PUT", "/reputation/ada", {"score": 50, "reason": "x", "tier": "vip"}, 422),
    ("DELETE", "/reputation/nobody", None, 404),
    ("GET", "/reputation?tier=gold", None, 422),
    ("GET", "/reputation?min_score=101", None, 422),
    ("GET", "/reputation-events?kind=x", None, 422),
    ("GET", "/reputation-events?user=%0A", None, 422),
    ("GET", "/alerts?state=x", None, 422),
    ("GET", "/analytics?per=week", None, 422),
]


def test_bad_requests(client: httpx.Client) -> None:
    """A client error is answered with problem details that name the error."""
    for method, path, sent, status in BAD:
        content = None if sent is None else json.dumps(sent)  # as ASCII, which can carry half of a surrogate pair
        answer = client.request(method, path, content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path
        assert (
            status != 422 or answer.json().get("errors") or answer.json()["detail"].startswith("this route takes no")
        ), path
