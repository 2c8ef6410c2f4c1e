"""The OpenAPI document describes exactly the existing routes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from gaia_server.http import openapi
from gaia_server.http.routes import TABLE
from tests.gaia_server.conftest import TOKEN, Running, Start, unique
from tests.support import plain_http

RULE = {"rule_name": unique("rule"), "scope": "user", "limit_type": "daily_quota", "limit_value": 5}
ALERT_RULE = {"metric": "memory_mb", "threshold": 1, "rule_id": None}


@pytest.fixture
def document(server: Running) -> dict[str, Any]:
    """The served document."""
    found: dict[str, Any] = plain_http.get(f"{server.base_url}/openapi.json").json()
    return found


def test_every_route_is_documented() -> None:
    """The document and the table of routes name the same methods of the same paths."""
    documented = openapi.document(TABLE)["paths"]
    assert {(path, method.upper()) for path, methods in documented.items() for method in methods} == {
        (entry.path, entry.method) for entry in TABLE
    }


def test_answers_fit_their_schemas(server: Running, document: dict[str, Any]) -> None:
    """The responses of the routes match the document's schemas."""
    for method, path, template, body in (
        ("POST", "/config", "/config", RULE),
        ("POST", "/config", "/config", RULE),
        ("POST", "/config", "/config", {}),
        ("GET", "/config", "/config", None),
        ("GET", "/config/1", "/config/{id}", None),
        ("GET", "/config/99", "/config/{id}", None),
        ("GET", "/usage", "/usage", None),
        ("GET", "/violations", "/violations", None),
        ("GET", "/analytics?per=hour", "/analytics", None),
        ("GET", "/alerts", "/alerts", None),
        ("POST", "/alerts/1/acknowledge", "/alerts/{id}/acknowledge", {"by": "ada"}),
        ("GET", "/alerts/rules", "/alerts/rules", None),
        ("POST", "/alerts/rules", "/alerts/rules", {**ALERT_RULE, "name": unique("alert")}),
        ("POST", "/alerts/rules", "/alerts/rules", {}),
        ("GET", "/alerts/rules/2", "/alerts/rules/{id}", None),
        ("PUT", "/alerts/rules/2", "/alerts/rules/{id}", {**ALERT_RULE, "name": unique("alert")}),
        ("POST", "/alerts/rules/2/mute", "/alerts/rules/{id}/mute", {"for_s": 1}),
        ("GET", "/users", "/users", None),
        ("GET", "/users/ada", "/users/{user}", None),
        ("PUT", "/users/ada", "/users/{user}", {"limits": {"daily_quota": 5}}),
        ("GET", "/users/ada", "/users/{user}", None),
        ("PUT", "/reputation/ada", "/reputation/{user}", {"score": 5, "reason": "test"}),
        ("GET", "/reputation/ada", "/reputation/{user}", None),
        ("GET", "/reputation/nobody", "/reputation/{user}", None),
        ("GET", "/reputation", "/reputation", None),
        ("GET", "/reputation-events", "/reputation-events", None),
        ("GET", "/analytics?minutes=0", "/analytics", None),
        *[("GET", "/usage", "/usage", None)] * 12,  # until the burst is refused: that answer has a schema as well
    ):
        answer = server.request(method, f"{server.home}{path}", json=body)
        responses = document["paths"][f"/api/admin/quotas{template}"][method.lower()]["responses"]
        content = responses[str(answer.status_code)]["content"]
        schema = content[answer.headers["content-type"]]["schema"]
        jsonschema_rs.validate({**schema, "components": document["components"]}, answer.json())


def test_generated_requests_are_answered_as_documented(start: Start, tmp_path: Path) -> None:
    """The valid and invalid requests that schemathesis generates from the document find no error."""
    server = start(RATE_LIMIT_ENABLED="false")
    program = str(Path(sys.executable).parent / "schemathesis")
    bounds = ("--phases", "coverage", "--seed", "1", "--max-time", "60", "--no-color")
    # ignored_auth sends more wrong tokens than an address may: the test below looks at every route
    token = ("--header", f"Authorization: Bearer {TOKEN}", "--exclude-checks", "ignored_auth")
    done = subprocess.run(
        (program, "run", f"{server.base_url}/openapi.json", *bounds, *token),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert {line["level"] for line in server.lines()} <= {"info", "warning"}


def test_every_admin_route_requires_the_token(start: Start) -> None:
    """A request without a token is answered with 401, whatever the route."""
    server = start(RATE_LIMIT_ENABLED="false")
    admin = [entry for entry in TABLE if entry.admin]
    with httpx.Client(base_url=server.base_url) as anonymous:
        for entry in admin:
            path = entry.path.replace("{id}", "1").replace("{user}", "ada")
            assert anonymous.request(entry.method, path, json={}).status_code == 401, entry.path
    assert len(admin) > 15


def test_document_is_public(document: dict[str, Any]) -> None:
    """The document needs no token."""
    assert document["openapi"].startswith("3.1")
