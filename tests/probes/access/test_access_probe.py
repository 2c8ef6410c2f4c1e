"""The access probe: the real server refuses everybody but administrators; every way in is found and named."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.access import access_probe
from gaia_checks.target.client import client, key
from gaia_checks.target.responses import CONFIG, QUOTAS
from tests.probes.modified import modified
from tests.probes.servers import TOKEN, target
from tests.support.patched import Change


def look(at: Target) -> dict[str, Measurement]:
    """Run the probe and return its measurements, without the prefix of their names."""
    return {observed.name.removeprefix("access."): observed for observed in access_probe.probe(at)}


def test_the_real_server_refuses_everybody_else(server: Target) -> None:
    """Every request and handshake is refused, what is public answers, and nothing is changed or left."""
    observed = look(server)
    assert {name: each.notes for name, each in observed.items()} == dict.fromkeys(observed, ())
    assert observed["refused"].value == observed["refused"].n > 200
    assert observed["handshakes_refused"].value == observed["handshakes_refused"].n >= 10
    assert observed["public_answers"].value == observed["public_answers"].n == 7
    assert observed["unchanged"].value is True
    assert TOKEN not in repr(observed)
    with client(server) as http:
        rules = http.get(CONFIG, params={"limit": 200}).json()["items"]
        assert [rule["rule_name"] for rule in rules if "access" in rule["rule_name"]] == []
        assert http.get(f"{QUOTAS}/reputation/{key(server)}-access-user").status_code == 404


def test_a_rule_of_others_for_every_user_is_no_change(server: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other looks, and administrators, create rules meanwhile that count the probe's user as well."""
    everybody = {
        "rule_name": "everybody", "scope": "user", "resource_type": "other",
        "limit_type": "requests_per_hour", "limit_value": 10**6,
    }  # fmt: skip
    with client(server) as http:

        def created(_: object) -> Iterator[None]:
            assert http.post(CONFIG, json=everybody).status_code == 201
            yield None

        monkeypatch.setattr("gaia_checks.probes.access.access_probe._Look.public", created)
        assert look(server)["unchanged"].notes == ()
        (rule,) = http.get(CONFIG, params={"rule_name": "everybody"}).json()["items"]
        assert http.delete(f"{CONFIG}/{rule['id']}").status_code == 204


def test_a_second_look_is_refused_as_well(server: Target) -> None:
    """After the server's budget of wrong tokens, a refusal to compare them counts as a refusal."""
    assert look(server)["refused"].notes == look(server)["refused"].notes == ()


AUTH, ROUTES = "gaia_server/auth.py", "gaia_server/http/routes.py"
WEBSOCKET = "gaia_server/http/websocket.py"
_GUARD = "_guarded(one) if one.admin else one.handler"

FAULTS: Mapping[str, tuple[Change, str, str]] = {
    "a route is not guarded": (
        (ROUTES, _GUARD, _GUARD.replace("one.admin", 'one.admin and not one.path.endswith("/alerts")')),
        "refused", "GET /api/admin/quotas/alerts without a token: status 200, should be 401 or 403",
    ),
    "a method is not guarded": (
        (ROUTES, _GUARD, _GUARD.replace("one.admin", 'one.admin and one.method != "DELETE"')),
        "refused", "without a token: status 204",
    ),
    "only changes are guarded": (
        (ROUTES, "if refusal := server_of(request).refusal(request):",
         'if request.method != "HEAD" and (refusal := server_of(request).refusal(request)):'),
        "refused", "HEAD /api/admin/quotas/alerts without a token: status 200",
    ),
    "a request is refused after it was served": (
        (ROUTES, "if refusal := server_of(request).refusal(request):",
         ('if request.method == "PUT" and "authorization" not in request.headers:\n'
         "            await operation.handler(request)\n        if refusal := server_of(request).refusal(request):")),
        "unchanged", "after refused requests, GET /api/admin/quotas/config/{id} is",
    ),
    "sessions do not expire": (
        (AUTH, '> now\n\n    def _signature', '> 0\n\n    def _signature'),
        "refused", "with an expired session: status 200",
    ),
    "sessions are not verified": (
        (AUTH, "if not hmac.compare_digest(signature.encode(), self._signature(payload).encode()):",
         "if len(signature) != 64:"),
        "refused", "with an altered session: status 200",
    ),
    "the beginning of a token suffices": (
        (AUTH, "hmac.compare_digest(token, self.token.encode())", "self.token.encode().startswith(token)"),
        "refused", "with a wrong token: status 200",
    ),
    "a token in the URL is accepted": (
        (AUTH, 'if scheme.lower() == "bearer" else ""',
         'if scheme.lower() == "bearer" else connection.query_params.get("token", "")'),
        "refused", "with the token in its URL: status",
    ),
    "a claimed loopback address is an administrator": (
        (AUTH, "        if self.token is None or not (token or cookie):",
         ('        if connection.headers.get("x-forwarded-for") == "127.0.0.1":\n'
         "            return Credential.RIGHT\n        if self.token is None or not (token or cookie):")),
        "refused", "from a claimed 127.0.0.1 as admin: status 200",
    ),
    "another site may change rules": (
        (AUTH, '{"GET", "HEAD", "OPTIONS"}', '{"GET", "HEAD", "OPTIONS", "PUT", "POST"}'),
        "refused", "with a session, from https://elsewhere.test: status 200",
    ),
    "a site whose name begins alike may change rules": (
        (AUTH, "    return (site.hostname, site.port or port) == (named.hostname, named.port or port)",
         "    return site.hostname.startswith(named.hostname or \"\")"),
        "refused", "with a session, from http://127.0.0.1.elsewhere.test: status",
    ),
    "a site whose name ends alike may change rules": (
        (AUTH, "    return (site.hostname, site.port or port) == (named.hostname, named.port or port)",
         "    return site.hostname.endswith(named.hostname or \"\") and (site.port or port) == (named.port or port)"),
        "refused", "with a session, from http://elsewhere-127.0.0.1:",
    ),
    "a program on another port may change rules": (
        (AUTH, "(site.hostname, site.port or port) == (named.hostname, named.port or port)",
         "site.hostname == named.hostname"),
        "refused", "with a session, from http://127.0.0.1:1: status",
    ),
    "another site may sign in": (
        (ROUTES, "if cross_origin := access.cross_origin_refusal(request):",
         "if cross_origin := None:"),
        "refused", "POST /admin/login from another site: status 204",
    ),
    "the WebSocket is open to all": (
        (WEBSOCKET, "if refusal := server.refusal(websocket):", "if refusal := None:"),
        "handshakes_refused", "/ws/admin/quotas without a token: it was sent a message",
    ),
    "the WebSocket is open to other sites": (
        (AUTH, 'connection.scope.get("method") in _SAFE_METHODS',
         'connection.scope.get("method", "GET") in _SAFE_METHODS'),
        "handshakes_refused", "/ws/admin/quotas with a session, from https://elsewhere.test: it was sent a message",
    ),
    "metrics need a token": (
        (ROUTES, "    server = server_of(request)\n    return Response(await server.metrics_text()",
         ("    server = server_of(request)\n    if refusal := server.refusal(request):\n        raise refusal\n"
         "    return Response(await server.metrics_text()")),
        "public_answers", "GET /metrics without a token: status 401, should be public",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_way_in_is_found_and_named(postgres: str, tmp_path: Path, fault: str) -> None:
    """A small change of the server's source fails the measurement that is about it."""
    change, measurement, said = FAULTS[fault]
    with modified(postgres, tmp_path, change) as at:
        observed = look(replace(at, trusted_proxies=""))[measurement]
    assert observed.value is False or observed.value < observed.n
    assert any(said in note for note in observed.notes), observed.notes


def test_what_cannot_be_read_is_not_unchanged(postgres: str, tmp_path: Path) -> None:
    """Two equal errors say nothing about what refused requests have changed."""
    read = "    return _answer(_found(await server_of(request).store.rule(_id(request))))\n"
    with modified(postgres, tmp_path, ("gaia_server/http/admin_api.py", read, "    raise Problem(500, '')\n")) as at:
        observed = look(at)
    assert (observed["unchanged"].n, observed["unchanged"].notes) == (
        0,
        ("not checked: GET /api/admin/quotas/config/{id} is answered with status 500",),
    )
    assert observed["refused"].value == observed["refused"].n


def test_without_a_token_the_rest_is_refused_all_the_same(server: Target) -> None:
    """A gate that knows no token cannot create what it aims at, and says so."""
    with pytest.raises(TargetUnreachable, match="check ADMIN_TOKEN"):
        look(target(server.base_url))


def test_no_listener_is_unreachable() -> None:
    """Without a listener the probe raises TargetUnreachable."""
    with pytest.raises(TargetUnreachable, match="is it running"):
        look(target(f"http://127.0.0.1:{free_port()}"))
