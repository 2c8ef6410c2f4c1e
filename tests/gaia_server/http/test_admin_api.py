"""The admin API over real HTTP."""

import asyncio
import json
import math
import re
import socket
import time
from typing import Any

import httpx
import psycopg
import pytest

from tests.gaia_server.conftest import TOKEN, Running, Start, poll, unique
from tests.support import plain_http


@pytest.fixture
def rule() -> dict[str, Any]:
    """The body of a new rule."""
    fields = {"scope": "ip", "scope_value": "192.0.2.7", "limit_type": "daily_quota", "limit_value": 5}
    return {"rule_name": unique("rule"), **fields}


def is_problem(answer: httpx.Response, status: int) -> bool:
    """Return whether a response has problem details and this status."""
    assert answer.status_code == status, answer.text
    return answer.headers["content-type"] == "application/problem+json" and answer.json()["status"] == status


def test_life_of_a_rule(client: httpx.Client, rule: dict[str, Any]) -> None:
    """A rule is created, read, listed, replaced and deleted."""
    created = client.post("/config", json=rule)
    assert created.status_code == 201
    stored = created.json()
    assert stored.items() >= {**rule, "enabled": True, "resource_type": None}.items()
    assert created.headers["location"] == f"/api/admin/quotas/config/{stored['id']}"
    assert client.get(f"/config/{stored['id']}").json() == stored
    listed = client.get("/config", params={"rule_name": rule["rule_name"]}).json()
    assert listed == {"items": [stored], "total": 1, "limit": 50, "offset": 0}
    replaced = client.put(f"/config/{stored['id']}", json={**rule, "limit_value": 6, "enabled": False})
    assert (replaced.status_code, replaced.json()["limit_value"], replaced.json()["enabled"]) == (200, 6, False)
    assert client.delete(f"/config/{stored['id']}").status_code == 204
    for method in (client.get, client.delete):
        assert is_problem(method(f"/config/{stored['id']}"), 404)


def test_duplicate(client: httpx.Client, rule: dict[str, Any]) -> None:
    """A name is unique, for creating and for renaming."""
    client.post("/config", json=rule)
    assert is_problem(client.post("/config", json=rule), 409)
    other = client.post("/config", json={**rule, "rule_name": unique("other")}).json()
    assert is_problem(client.put(f"/config/{other['id']}", json=rule), 409)


GOOD = {"rule_name": "a", "scope": "ip", "limit_type": "daily_quota", "limit_value": 5}
BAD_BODIES: list[tuple[bytes, str, int]] = [
    (b"{", "application/json", 400),
    (b"\xff", "application/json", 400),
    (b'{"limit_value": NaN}', "application/json", 400),
    (b"[" * 60_000, "application/json", 400),
    (b"1" * 5000, "application/json", 400),
    (b"[]", "application/json; charset=utf-8", 422),
    (b"{}", "text/plain", 415),
    (b"{}", "", 415),
    (b" " * 70_000, "application/json", 413),
    (json.dumps({**GOOD, "limit_value": 10**30}).encode(), "application/json", 422),
    (json.dumps({**GOOD, "scope": "api_key", "scope_value": "\ud800"}).encode(), "application/json", 422),
]


def test_bad_bodies(client: httpx.Client) -> None:
    """An invalid body is a client error, never a server error."""
    for content, kind, status in BAD_BODIES:
        answer = client.post("/config", content=content, headers={"Content-Type": kind})
        assert is_problem(answer, status), content[:50]


BAD_REQUESTS = [
    ("GET", "/config/0", 404),
    ("GET", "/config/9223372036854775808", 404),
    ("GET", "/config/x", 404),
    ("GET", "/nothing", 404),
    ("GET", "/config/", 404),
    ("PATCH", "/config", 405),
    ("GET", "/config?limit=0", 422),
    ("GET", "/config?limit=1&limit=2", 422),
    ("GET", "/config?offset=-1", 422),
    ("GET", "/config?colour=red", 422),
    ("GET", "/config/1?limit=1", 422),
    ("GET", "/usage?rule_id=x", 422),
    ("GET", "/usage?key=%00", 422),
    ("GET", "/violations?since=yesterday", 422),
    ("GET", "/violations?since=2026-01-01T00:00:00", 422),
    ("GET", "/analytics?minutes=129601", 422),
    ("GET", "/%2e%2e/%ff", 404),
]


def test_bad_requests(client: httpx.Client) -> None:
    """A wrong path, method or parameter is answered with problem details."""
    for method, path, status in BAD_REQUESTS:
        answer = client.request(method, path)
        assert is_problem(answer, status), (method, path)
        assert answer.headers.get("allow") == ("GET, HEAD, POST" if status == 405 else None)


def test_paging(own: Running) -> None:
    """Pages neither overlap nor omit rows, and report the total beyond the end, too."""
    own.key = own.unlimited()
    for number in range(5):
        own.rule(scope_value=f"paged-{number}", limit_value=1)
    with httpx.Client(base_url=own.home, headers=own.headers) as client:
        whole = client.get("/config").json()
        parts = [client.get("/config", params={"limit": 4, "offset": offset}).json() for offset in (0, 4, 8, 12)]
    assert [rule for part in parts for rule in part["items"]] == whole["items"]
    assert {part["total"] for part in parts} == {whole["total"]} == {10}


def test_fifty_quick_requests_meet_a_limit(server: Running, client: httpx.Client) -> None:
    """The default rules refuse part of an anonymous burst; a 429 has Retry-After; the refusals are listed."""
    with httpx.Client(base_url=server.base_url) as anonymous:
        answers = [anonymous.get("/api/nothing") for _ in range(50)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {answer.status_code for answer in answers} == {404, 429}
    assert all(is_problem(answer, 429) for answer in refused)
    assert refused[0].headers["retry-after"] == "1"
    assert refused[0].headers["x-ratelimit-remaining"] == "0"
    listed = client.get("/violations", params={"key": "ip:127.0.0.1"}).json()["items"]
    assert sum(item["hits"] for item in listed) >= len(refused)
    assert {item["rule_name"] for item in listed} == {"default-ip-second"}


def test_headers_count_down(server: Running) -> None:
    """Every limited response, successful or not, has the headers of its rule."""
    key = unique("key")
    name = server.rule(scope_value=key, limit_value=3)["rule_name"]
    for remaining, path in ((2, "/usage"), (1, "/nothing"), (0, "/usage"), (0, "/usage")):
        answer = server.get(f"{server.home}{path}", headers={"X-API-Key": key})
        assert f'"{name}";q=3;w=3600' in answer.headers["ratelimit-policy"]
        found = re.search(rf'"{name}";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
        assert found
        assert int(found[1]) == remaining
        assert 3590 < int(found[2]) <= 3600
        assert answer.headers["x-ratelimit-limit"] == "3"
        assert answer.headers["x-ratelimit-remaining"] == str(remaining)
        assert abs(int(answer.headers["x-ratelimit-reset"]) - math.ceil(time.time() + 3600)) < 20
    assert answer.status_code == 429
    assert found
    assert answer.headers["retry-after"] == found[2]


def test_64_clients_racing_for_100(server: Running) -> None:
    """Exactly the limit is admitted, whatever the number of concurrent clients."""
    key = server.rule(scope_value="race", limit_value=100)["scope_value"]

    async def race() -> list[int]:
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(headers={**server.bearer, "X-API-Key": key}, limits=limits, timeout=30) as client:

            async def one() -> list[int]:
                return [(await client.get(f"{server.home}/analytics")).status_code for _ in range(5)]

            return [status for part in await asyncio.gather(*(one() for _ in range(64))) for status in part]

    statuses = asyncio.run(race())
    assert (statuses.count(200), statuses.count(429)) == (100, 220)


def test_a_rule_is_in_force_when_its_answer_arrives(start: Start) -> None:
    """A rule applies on the answering process with the 201, on another within a second; so does its deletion."""
    here, there = start(), start()
    rule = here.rule(scope_value="new", limit_value=0)
    headers = {"X-API-Key": "new"}
    assert here.get(f"{here.home}/usage", headers=headers).status_code == 429
    poll(lambda: there.get(f"{there.home}/nothing", headers=headers).status_code == 429, within_s=1)
    here.request("DELETE", f"{here.home}/config/{rule['id']}")
    assert here.get(f"{here.home}/usage", headers=headers).status_code == 200
    poll(lambda: there.get(f"{there.home}/usage", headers=headers).status_code == 200, within_s=1)


def test_usage_and_deletion(server: Running, client: httpx.Client) -> None:
    """Usage counts the sent requests; deleting the rule removes buckets, quotas and violations."""
    rules = [
        server.rule(scope_value="u1", limit_type=kind, limit_value=4)
        for kind in ("requests_per_hour", "daily_quota", "weekly_quota", "monthly_quota")
    ]
    for _ in range(6):
        server.get(f"{server.home}/usage", headers={"X-API-Key": "u1"})
    for rule in rules:
        (item,) = client.get("/usage", params={"rule_id": rule["id"]}).json()["items"]
        assert (item["key"], item["used"], item["remaining"]) == ("api_key:u1", 4, 0)
        assert item["resets_at"] > "2026"
        assert sum(i["hits"] for i in client.get("/violations", params={"rule_id": rule["id"]}).json()["items"]) == 2
        assert client.delete(f"/config/{rule['id']}").status_code == 204
        assert client.get("/usage", params={"rule_id": rule["id"]}).json()["total"] == 0
        assert client.get("/violations", params={"rule_id": rule["id"]}).json()["total"] == 0


def test_analytics_are_counted(own: Running) -> None:
    """Totals are the sums of actual decisions."""
    key = own.rule(scope_value="counted", limit_value=3)["scope_value"]
    for _ in range(5):
        own.get(f"{own.home}/violations", headers={"X-API-Key": key})

    def counted() -> Any:
        found = own.get(f"{own.home}/analytics").json()
        return found if any(row["resource_type"] == "violations" for row in found["by_resource"]) else None

    found = poll(counted, every_s=0.25)
    (row,) = [row for row in found["by_resource"] if row["resource_type"] == "violations"]
    assert (row["admitted"], row["denied"]) == (3, 2)
    totals = found["totals"]
    assert totals["denied_ratio"] == totals["denied"] / (totals["admitted"] + totals["denied"])
    assert [(one["hits"], one["keys"], one["share"]) for one in found["by_rule"]] == [(2, 1, 1.0)]
    assert found["top_keys"] == [{"key": "api_key:counted", "hits": 2, "last_at": found["top_keys"][0]["last_at"]}]


def test_token(start: Start) -> None:
    """The API requires the token; the cookie of a login is accepted as well."""
    server = start()
    refused = plain_http.get(f"{server.home}/config")
    assert is_problem(refused, 401)
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert "ratelimit" in refused.headers
    assert server.get(f"{server.home}/config").status_code == 200
    with httpx.Client(base_url=server.base_url) as browser:
        assert is_problem(browser.post("/admin/login", json={"token": "wrong-canary"}), 401)
        assert is_problem(browser.post("/admin/login", json={"token": 7}), 422)
        answer = browser.post("/admin/login", json={"token": TOKEN})
        assert answer.status_code == 204
        assert {"HttpOnly", "SameSite=strict"} <= set(answer.headers["set-cookie"].split("; "))
        assert browser.get("/api/admin/quotas/config").status_code == 200
    assert TOKEN not in server.log.read_text()


def test_without_a_token_nobody_is_an_administrator(start: Start) -> None:
    """Nor is a client on loopback under a loopback Host: a plain HTTP/1.0 proxy on this machine sends just that."""
    server = start(ADMIN_TOKEN="")
    with socket.create_connection(("127.0.0.1", server.port)) as proxy:
        proxy.sendall(b"GET /api/admin/quotas/config HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        assert proxy.recv(100).split()[1] == b"403"
    assert is_problem(plain_http.get(f"{server.home}/config"), 403)
    assert is_problem(plain_http.post(f"{server.base_url}/admin/login", json={"token": ""}), 401)


def test_wrong_tokens_are_limited(start: Start) -> None:
    """Wrong tokens of one address are soon not compared: neither in a header, nor in a cookie, nor at a login."""
    server = start(RATE_LIMIT_ENABLED="false", TRUSTED_PROXIES="127.0.0.1")

    def config(address: str, **headers: str) -> httpx.Response:
        return plain_http.get(f"{server.home}/config", headers={"X-Forwarded-For": address, **headers})

    def login(address: str, token: str) -> httpx.Response:
        headers = {"X-Forwarded-For": address}
        return plain_http.post(f"{server.base_url}/admin/login", json={"token": token}, headers=headers)

    def wrong(number: int) -> list[httpx.Response]:
        return [
            config("192.0.2.7", Authorization=f"Bearer wrong-{number}"),
            config("192.0.2.7", Cookie=f"gaia_session=9999999999.aa.{number}"),
            login("192.0.2.7", f"wrong-{number}"),
        ]

    answers = [answer for number in range(20) for answer in wrong(number)]
    assert [answer.status_code for answer in answers[:10]] == [401] * 10
    assert [answer.status_code for answer in answers].count(429) >= 48
    assert is_problem(answers[-1], 429)
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 6
    assert config("192.0.2.7", **server.bearer).status_code == 429  # not compared
    assert config("192.0.2.7").status_code == 401  # no token, no guess
    assert config("192.0.2.8", **server.bearer).status_code == 200
    assert login("192.0.2.8", TOKEN).status_code == 204
    assert "wrong-" not in server.log.read_text()


def test_a_wrong_token_decides_nothing(start: Start) -> None:
    """A refused token does not show by the rules that apply to a name: they are those of the address."""
    server = start()
    server.rule(scope="user", scope_value="ada", limit_value=123_456)
    wrong = {"Authorization": "Bearer wrong", "X-User-ID": "ada"}
    answers = [plain_http.get(f"{server.home}/usage", headers=wrong) for _ in range(12)]
    assert not [answer for answer in answers if "q=123456" in answer.headers.get("ratelimit-policy", "")]
    assert "q=123456" in server.get(f"{server.home}/usage", headers=wrong | server.bearer).headers["ratelimit-policy"]


def test_limiting_can_be_switched_off(start: Start) -> None:
    """With RATE_LIMIT_ENABLED=false nothing is limited, and /health reports it."""
    server = start(RATE_LIMIT_ENABLED="false")
    answers = [server.get(f"{server.home}/config") for _ in range(30)]
    assert {answer.status_code for answer in answers} == {200}
    assert "ratelimit" not in answers[0].headers
    assert plain_http.get(f"{server.base_url}/health").json()["checks"]["rate_limiting"] == {"status": "disabled"}


def test_without_the_database_nothing_passes(own: Running, postgres: str) -> None:
    """503 while the database is unavailable, healthy again afterwards, and no error in the log."""
    name = psycopg.conninfo.conninfo_to_dict(own.dsn)["dbname"]
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        started = time.monotonic()
        health = plain_http.get(f"{own.base_url}/health")
        assert time.monotonic() - started < 3
        assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
        assert health.json()["checks"]["database"]["status"] == "disconnected"
        limited = own.get(f"{own.home}/config")
        assert is_problem(limited, 503)
        assert limited.headers["retry-after"] == "1"
        assert plain_http.get(f"{own.base_url}/livez").status_code == 200
        assert is_problem(plain_http.get(f"{own.base_url}/readyz"), 503)
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    poll(lambda: plain_http.get(f"{own.base_url}/health").status_code == 200)
    assert own.get(f"{own.home}/config").status_code == 200
    assert {line["level"] for line in own.lines()} <= {"info", "warning"}


def test_a_restarted_database_is_not_noticed(own: Running, postgres: str) -> None:
    """Lost connections of the pool are replaced before a request fails."""
    name = psycopg.conninfo.conninfo_to_dict(own.dsn)["dbname"]
    with psycopg.connect(postgres, autocommit=True) as admin:
        for _ in range(3):
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            assert own.get(f"{own.home}/config").status_code == 200


def test_metrics(server: Running, client: httpx.Client) -> None:
    """Requests and decisions are counted; clients cannot invent labels."""
    client.get("/config")
    plain_http.request("BREW", f"{server.base_url}/invented")
    text = plain_http.get(f"{server.base_url}/metrics").text
    assert 'gaia_http_requests_total{method="GET",route="/api/admin/quotas/config",status="200"}' in text
    assert 'gaia_rate_limit_decisions_total{decision="admitted",scope="api_key"}' in text
    assert re.search(r'gaia_rate_limit_rule_decisions_total\{decision="admitted",rule_id="\d+"\} [1-9]', text)
    assert re.search(r"gaia_rate_limit_decision_duration_seconds_count [1-9]", text)
    assert re.search(r"gaia_rate_limit_batch_size_count [1-9]", text)
    assert "gaia_database_up 1.0" in text
    assert "process_resident_memory_bytes" in text
    assert "invented" not in text
    assert "BREW" not in text
