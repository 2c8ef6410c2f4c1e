"""Many rules at once: previewed, then applied, all or none."""

from typing import Any

import httpx
import pytest

from tests.gaia_server.conftest import Running, unique


def _rule(**fields: Any) -> dict[str, Any]:
    body = {"rule_name": unique("imported"), "scope": "api_key", "scope_value": unique("key")}
    return {**body, "limit_type": "requests_per_hour", "limit_value": 5, **fields}


def _found(client: httpx.Client, name: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = client.get("/config", params={"rule_name": name}).json()["items"]
    return items


def test_an_import_is_previewed_and_then_applied(client: httpx.Client) -> None:
    """The preview changes nothing; what it showed is applied, in force at once; then nothing is left to change."""
    old, new = _rule(), _rule()
    assert client.post("/config", json=old).status_code == 201
    wanted = {"rules": [{**old, "limit_value": 6}, new]}
    preview = client.post("/config/import", json=wanted)
    assert preview.status_code == 200
    assert [rule["rule_name"] for rule in preview.json()["created"]] == [new["rule_name"]]
    (changed,) = preview.json()["changed"]
    assert (changed["before"]["limit_value"], changed["after"]["limit_value"]) == (5, 6)
    assert (_found(client, new["rule_name"]), _found(client, old["rule_name"])[0]["limit_value"]) == ([], 5)
    applied = client.post("/config/import?apply=true", json=wanted, headers={"If-Match": preview.headers["ETag"]})
    assert (applied.status_code, applied.json()) == (200, preview.json())
    assert _found(client, new["rule_name"])[0]["limit_value"] == 5
    assert _found(client, old["rule_name"])[0]["id"] == changed["before"]["id"]
    again = client.post("/config/import", json=wanted).json()
    assert again == {"created": [], "changed": [], "unchanged": 2}


def test_a_limit_that_is_imported_decides_at_once(server: Running, client: httpx.Client) -> None:
    """The answer arrives when the rule is in force."""
    rule = _rule(limit_value=1)
    assert client.post("/config/import?apply=true", json={"rules": [rule]}).status_code == 200
    with httpx.Client(headers={**server.bearer, "X-API-Key": rule["scope_value"]}) as limited:
        assert [limited.get(f"{server.home}/usage").status_code for _ in range(2)] == [200, 429]


def test_an_import_with_an_error_changes_nothing(client: httpx.Client) -> None:
    """Every error of every rule is named by its place, also a name that is given twice."""
    good = _rule()
    wanted = {"rules": [good, _rule(limit_value=-1, scope="all"), 7, good]}
    answer = client.post("/config/import?apply=true", json=wanted)
    assert answer.status_code == 422
    fields = [error["field"] for error in answer.json()["errors"]]
    for field in ("rules.0.rule_name", "rules.1.limit_value", "rules.1.scope", "rules.3.rule_name"):
        assert field in fields
    assert any(field.startswith("rules.2") for field in fields)
    assert _found(client, good["rule_name"]) == []


@pytest.mark.parametrize("body", [[], {}, {"rules": 1}, {"rules": [], "more": 1}])
def test_a_body_that_is_no_import_is_refused(client: httpx.Client, body: Any) -> None:
    """Only a list of rules is an import."""
    assert client.post("/config/import", json=body).status_code == 422


def test_an_import_without_a_current_preview_is_refused(client: httpx.Client) -> None:
    """A rule that changed since the preview makes the import fail as a whole."""
    rule = _rule()
    preview = client.post("/config/import", json={"rules": [rule]})
    assert client.post("/config", json=_rule()).status_code == 201
    late = client.post(
        "/config/import?apply=true", json={"rules": [rule]}, headers={"If-Match": preview.headers["ETag"]}
    )
    assert late.status_code == 412
    assert _found(client, rule["rule_name"]) == []


def test_an_import_that_refuses_its_author_needs_a_confirmation(own: Running) -> None:
    """As a rule that is set alone."""
    rule = _rule(scope="ip", scope_value=None, limit_value=0)
    answer = own.request("POST", f"{own.home}/config/import?apply=true", json={"rules": [rule]})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:gaia-server:refuses-its-author")
    answer = own.request("POST", f"{own.home}/config/import?apply=true&confirm=true", json={"rules": [rule]})
    assert answer.status_code == 200


def test_5000_rules_are_one_import(own: Running) -> None:
    """A large installation fits into one request; a larger body is refused."""
    rules = [_rule(rule_name=f"rule {n}", scope_value=f"key-{n}") for n in range(5000)]
    answer = own.request("POST", f"{own.home}/config/import?apply=true", json={"rules": rules}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["created"]) == 5000
    assert own.request("POST", f"{own.home}/config/import", json={"rules": rules * 3}).status_code == 413
