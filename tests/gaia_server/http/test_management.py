"""No rule locks administrators out, and one that would refuse its author needs a confirmation."""

from typing import Any

import httpx
import pytest

from gaia_server.http.preconditions import REFUSES_AUTHOR
from tests.gaia_server.conftest import TOKEN, Running, Start, unique
from tests.support import plain_http

LOCK_OUT = {"limit_type": "requests_per_hour", "limit_value": 0}


def body(**fields: Any) -> dict[str, Any]:
    """A rule that refuses every address."""
    return {"rule_name": unique("rule"), "scope": "ip", **LOCK_OUT, **fields}


@pytest.mark.parametrize("scope", ["ip", "global"])
def test_a_rule_locks_no_administrator_out(own: Running, scope: str) -> None:
    """Whoever signs in can list, change and delete the rule that refuses everybody, and nobody else can do anything."""
    rule = own.rule(scope=scope, **LOCK_OUT)
    url = f"{own.home}/config/{rule['id']}"
    assert plain_http.get(f"{own.home}/config").status_code == 429
    assert own.get(f"{own.home}/usage").status_code == 429
    assert plain_http.post(f"{own.base_url}/admin/login", json={"token": "wrong"}).status_code == 429
    assert plain_http.post(f"{own.base_url}/admin/login", json={}).status_code == 429
    login = plain_http.post(f"{own.base_url}/admin/login", json={"token": TOKEN})
    assert login.status_code == 204
    session = {"Cookie": login.headers["set-cookie"].partition(";")[0]}
    assert rule in plain_http.get(f"{own.home}/config", headers=session).json()["items"]
    assert own.get(f"{own.home}/users/ada").status_code == 200
    assert (
        own.request("PUT", f"{url}?confirm=true", json=body(scope=scope, rule_name=rule["rule_name"])).status_code
        == 200
    )
    assert own.request("DELETE", url).status_code == 204
    assert plain_http.get(f"{own.home}/usage", headers=session).status_code == 200


def test_management_has_a_budget(own: Running) -> None:
    """It is limited apart, and refills within a second."""
    rule = own.rule(scope="ip", **LOCK_OUT)
    url = f"{own.home}/config/{rule['id']}"
    with httpx.Client(headers=own.bearer) as client:
        answers = [client.get(url) for _ in range(200)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 30 <= len(answers) - len(refused) < 120
    assert refused[0].json()["detail"] == "too many requests to manage rules"
    assert refused[0].headers["retry-after"] == "1"


def test_a_key_is_limited_by_its_rules(own: Running) -> None:
    """An administrator who sends an API key is limited by that key's rules, here as well."""
    key = own.rule(scope_value=unique("key"), limit_value=0)["scope_value"]
    assert own.get(f"{own.home}/config", headers={"X-API-Key": key}).status_code == 429


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({}, True),
        ({"scope": "global"}, True),
        ({"scope_value": "127.0.0.1"}, True),
        ({"resource_type": "usage"}, True),
        ({"scope_value": "192.0.2.7"}, False),
        ({"enabled": False}, False),
        ({"limit_value": 1000}, False),
        ({"scope": "session"}, False),
        ({"scope": "api_key", "scope_value": "somebody"}, False),
    ],
)
def test_a_new_rule_that_refuses_its_author(own: Running, fields: dict[str, Any], asked: bool) -> None:
    """It is created only with a confirmation."""
    rule = body(**fields)
    answer = own.request("POST", f"{own.home}/config", json=rule)
    assert answer.status_code == (409 if asked else 201)
    if asked:
        assert answer.json()["type"] == REFUSES_AUTHOR
        assert "?confirm=true" in answer.json()["detail"]
        assert not own.get(f"{own.home}/config", headers={}).json()["items"][4:]
        assert own.request("POST", f"{own.home}/config?confirm=true", json=rule).status_code == 201


def test_a_changed_rule_that_refuses_its_author(own: Running) -> None:
    """What the rule has counted counts: a limit below it refuses the next request."""
    rule = own.rule(scope="ip", limit_value=1000, limit_type="requests_per_hour")
    for _ in range(3):
        own.get(f"{own.home}/usage")
    url, changed = f"{own.home}/config/{rule['id']}", body(rule_name=rule["rule_name"])
    assert own.request("PUT", url, json={**changed, "limit_value": 3}).status_code == 409
    assert own.request("PUT", url, json={**changed, "limit_value": 100}).status_code == 200
    assert own.request("PUT", url, json={**changed, "limit_value": 3, "limit_type": "daily_quota"}).status_code == 200
    assert own.request("PUT", f"{url}?confirm=true", json=changed).status_code == 200
    assert own.request("PUT", f"{url}?confirm=yes", json=changed).status_code == 422


def test_an_author_who_limits_themselves(start: Start) -> None:
    """A user's own limits are rules as well."""
    server = start()
    headers, url = {"X-User-ID": "ada"}, f"{server.home}/users/ada"
    wanted = {"limits": {"daily_quota": 0}}
    assert server.request("PUT", url, json=wanted, headers=headers).json()["type"] == REFUSES_AUTHOR
    assert server.request("PUT", f"{server.home}/users/bob", json=wanted, headers=headers).status_code == 200
    assert server.request("PUT", f"{url}?confirm=true", json=wanted, headers=headers).status_code == 200
    assert server.get(url, headers=headers).status_code == 200
    assert server.get(f"{server.home}/usage", headers=headers).status_code == 429
