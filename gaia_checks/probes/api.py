"""Whether the admin API keeps its contract, rejects bad input, and shows no secret."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
from websockets.exceptions import InvalidHandshake
from websockets.sync.client import connect

from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import Measurement, Target
from gaia_checks.target import rules, sent_secrets, ws_messages
from gaia_checks.target.client import CONNECT_S, client, key, websocket_headers, websocket_url
from gaia_checks.target.responses import (
    ANALYTICS,
    CONFIG,
    METRICS,
    QUOTAS,
    USAGE,
    VIOLATIONS,
    Answer,
    location,
    wrong_allow,
    wrong_limit_headers,
    wrong_list,
    wrong_object,
    wrong_problem,
    wrong_rule,
    wrong_status,
    wrong_times,
)
from gaia_checks.target.samples import Score, Watch

LISTS = (CONFIG, USAGE, VIOLATIONS)
PUBLIC = ("/admin/quotas", "/health", METRICS)

_PAGE = 5
_LARGEST_PAGE = 200
_DEPTH = 10_000  # of nested arrays: beyond what recursive parsers manage
_LARGE = 100 * 1024  # bytes: more than a body may have, and than one read of a socket returns
_PATIENCE_S = 30.0  # in total, for 429 answers: the server's own limits apply to the gate as well
_MOST_UNANSWERED = 3  # consecutive requests without an answer, after which no more are sent
_NO_RULE = f"{CONFIG}/9223372036854775807"
_JSON = {"Content-Type": "application/json"}

Sample = str | None  # the fault; None for a good sample


def probe(target: Target) -> list[Measurement]:
    """Measure `api.contract_kept`, `api.bad_input_rejected`, `api.server_errors` and `api.secrets_shown`.

    Its rules carry the run id and are removed. Raises TargetUnreachable when there is no connection.
    """
    watch, kept, rejected = Watch(), Score(), Score()
    with client(target) as http:
        api = _Api(http, target)
        first = api("GET", CONFIG)
        if not api.connected:
            raise TargetUnreachable(f"{target.base_url}: {first.fault(first.text)}; is it running?")
        try:
            for sample in _contract(api, target):
                kept.add(sample)
            for sample in _bad_input(api, target):
                rejected.add(sample)
            _show(api)
        finally:
            api.remove_created()
    how = f"answers with a status of 500 or above, of {api.sent} requests"
    return [
        watch.counted("api.contract_kept", kept, "routes and behaviours of the admin API"),
        watch.counted("api.bad_input_rejected", rejected, "kinds of bad input answered with a 4xx problem"),
        watch.measurement(
            "api.secrets_shown", len(api.shown), "count", api.sent, f"secrets in {api.sent} answers", api.shown
        ),
        watch.measurement("api.server_errors", len(api.server_errors), "count", api.sent, how, api.server_errors),
    ]


@dataclass
class _Api:
    """Sends requests and records their effects on the target."""

    http: httpx.Client
    target: Target
    sent: int = 0
    unanswered: int = 0  # in a row
    connected: bool = True  # whether the last request reached a server
    patience: rules.Patience = field(default_factory=lambda: rules.Patience(_PATIENCE_S))
    server_errors: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)  # secrets in answers
    created: list[str] = field(default_factory=list)

    def __call__(self, method: str, path: str, **arguments: Any) -> Answer:
        """Send one request; retry it on 429 until the total waiting time is used up."""
        answer = self.once(method, path, **arguments)
        while (wait_s := self.patience.wait_s(answer.status, answer)) is not None:
            time.sleep(wait_s)
            answer = self.once(method, path, **arguments)
        if answer.status >= 500:
            self.server_errors.append(answer.fault(f"status {answer.status}"))
        if method == "POST" and answer.status == 201 and (made := location(answer)):
            self.created.append(made)
        return answer

    def remove_created(self) -> None:
        """Delete every rule that a request created, also one that should have been rejected."""
        for path in self.created:
            self("DELETE", path)

    def once(self, method: str, path: str, **arguments: Any) -> Answer:
        """Send one request, and take its answer as it is."""
        request = f"{method} {path}"
        if self.unanswered == _MOST_UNANSWERED:
            return Answer(request, 0, text=f"not sent: {_MOST_UNANSWERED} earlier requests got no answer")
        self.sent += 1
        try:
            response = self.http.request(method, path, **arguments)
            self.unanswered, self.connected = 0, True
        except httpx.TransportError as error:
            self.unanswered += 1
            self.connected = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
            return Answer(request, 0, text=f"{type(error).__name__} {error}")
        self._search(f"{request}: status {response.status_code}", path, f"{response.headers}\n{response.text}")
        try:
            body = response.json()
        except (ValueError, RecursionError):
            body = None
        return Answer(request, response.status_code, response.headers, response.text, body)

    def _search(self, answer: str, path: str, text: str) -> None:
        metrics = path == METRICS
        secrets = sent_secrets.never_logged(self.target) if metrics else sent_secrets.real(self.target)
        if not metrics:
            secrets = {**secrets, **_made_up(self.target, sent_secrets.WRONG_TOKEN)}
        if what := sent_secrets.found_in(text, secrets):
            self.shown.append(f"{answer}, and its answer contains {what}")


def _made_up(target: Target, *kinds: str) -> dict[str, str]:
    return {what: sent_secrets.made_up(target, what) for what in kinds}


def _show(api: _Api) -> None:
    """Send made-up secrets as clients send real ones, and read what everybody may: `_Api` searches each answer."""
    made = _made_up(api.target, sent_secrets.URL_PASSWORD, sent_secrets.UNKNOWN_KEY)
    api("GET", CONFIG, params={"password": made[sent_secrets.URL_PASSWORD]})
    if not api.unanswered:
        _show_websocket(api.target, {"password": made[sent_secrets.URL_PASSWORD]})
    api("GET", CONFIG, headers={"X-API-Key": made[sent_secrets.UNKNOWN_KEY]})
    for path in PUBLIC:
        api("GET", path)


def _show_websocket(target: Target, query: Mapping[str, str]) -> None:
    """Open the WebSocket with a query, which a server may log by another way than that of a request."""
    url = f"{websocket_url(target, ws_messages.PATH)}?{urlencode(query)}"
    headers, patience_s = websocket_headers(target), CONNECT_S
    with (
        contextlib.suppress(InvalidHandshake, OSError, EOFError),
        connect(url, additional_headers=headers, open_timeout=patience_s, close_timeout=patience_s, proxy=None),
    ):
        pass


def _contract(api: _Api, target: Target) -> Iterator[Sample]:
    """Yield one sample per route and behaviour that the contract promises."""
    rule = _rule(target, "contract")
    first = [api("GET", path, params={"limit": _PAGE}) for path in LISTS]
    created, analytics = api("POST", CONFIG, json=rule), api("GET", ANALYTICS)
    yield from (wrong_list(answer, _PAGE) for answer in first)
    yield wrong_list(api("GET", CONFIG, params={"limit": _LARGEST_PAGE}), _LARGEST_PAGE)
    yield wrong_rule(created, rule, 201) or _wrong_location(created)
    yield wrong_object(analytics) or (None if analytics.body else analytics.fault("it is empty"))
    yield from (wrong_limit_headers(answer) for answer in (*first, created, analytics))
    if not target.translated:
        yield wrong_times(created, "created_at", "updated_at")
        yield from _deleted_key(api, target)
    yield from _rule_life_cycle(api, location(created) or _NO_RULE, rule)
    yield _wrong_openapi(api("GET", "/openapi.json"))


def _rule_life_cycle(api: _Api, path: str, rule: Mapping[str, Any]) -> Iterator[Sample]:
    changed = {**rule, "limit_value": rule["limit_value"] - 1, "enabled": False}
    stored = api("GET", path)
    yield wrong_rule(stored, rule)
    yield wrong_problem(api("POST", CONFIG, json=rule), 409)
    yield wrong_rule(api("PUT", path, json=changed), changed)
    if version := stored.headers.get("ETag"):
        yield wrong_problem(api("PUT", path, json=rule, headers={"If-Match": version}), 412)
    yield wrong_rule(api("GET", path), changed)
    yield wrong_status(api("DELETE", path), 204)
    yield wrong_problem(api("GET", path), 404)


def _deleted_key(api: _Api, target: Target) -> Iterator[Sample]:
    """Have a key refused by a rule that is then for another key; delete its last rule, and look for its refusals.

    Yield nothing where they cannot be made: limits and usage are judged by others.
    """
    api_key, hour = f"{key(target)}-api-deleted", "requests_per_hour"
    refusing = rules.for_one_key(f"{api_key}-refusing", hour, 0, key=api_key)
    made = [api("POST", CONFIG, json=rule) for rule in (refusing, rules.for_one_key(api_key, hour, 1_000_000))]
    first, last = (location(answer) or _NO_RULE for answer in made)
    api.once("GET", CONFIG, params={"limit": 1}, headers={"X-API-Key": api_key})
    moved = api("PUT", first, json={**refusing, "scope_value": f"{api_key}-other"})
    refusals = {"key": f"api_key:{api_key}", "limit": 1}
    if moved.status != 200 or not _total(api("GET", VIOLATIONS, params=refusals)):
        return
    deleted = api("DELETE", last)
    left = _total(api("GET", VIOLATIONS, params=refusals))
    yield deleted.fault(f"{left} violations of its key remain, although no rule names it any more") if left else None


def _total(answer: Answer) -> int:
    total = answer.body.get("total") if isinstance(answer.body, dict) else 0
    return total if isinstance(total, int) else 0


def _bad_input(api: _Api, target: Target) -> Iterator[Sample]:
    """Yield one sample per kind of bad input: only a 4xx with a problem body is right."""
    rule = _rule(target, "bad")
    yield wrong_problem(api("POST", CONFIG, content=b'{"rule_name": ', headers=_JSON), 400, 422)
    for body in _bad_bodies(rule):
        yield wrong_problem(api("POST", CONFIG, json=body), 422)
    for content in (_lone_surrogate(rule), b"[" * _DEPTH + b"]" * _DEPTH, _infinite_limit(rule)):
        yield wrong_problem(api("POST", CONFIG, content=content, headers=_JSON), 400, 422)
    yield wrong_problem(api("POST", CONFIG, json={**rule, "rule_name": "x" * _LARGE}), 413)
    for method, body in (("GET", None), ("PUT", rule), ("DELETE", None)):
        yield wrong_problem(api(method, _NO_RULE, json=body), 404)
    for path in (f"{CONFIG}/none", f"{CONFIG}/{10**30}"):
        yield wrong_problem(api("GET", path), 404, 422)
    for limit in ("-1", "many"):
        yield wrong_problem(api("GET", CONFIG, params={"limit": limit}), 400, 422)
    yield wrong_problem(api("GET", f"{QUOTAS}/nothing"), 404)
    refused = api("DELETE", LISTS[1])
    yield wrong_problem(refused, 405) or (None if target.translated else wrong_allow(refused, "GET"))
    if not target.translated:
        yield wrong_problem(api("POST", CONFIG, content=_field_twice(rule), headers=_JSON), 400, 422)
        yield wrong_problem(api("GET", CONFIG, params={"no_such_parameter": "1"}), 400, 422)
    if target.admin_token:
        for authorization in ("", f"Bearer {sent_secrets.made_up(target, sent_secrets.WRONG_TOKEN)}"):
            yield wrong_problem(api("GET", CONFIG, headers={"Authorization": authorization}), 401, 403)


def _bad_bodies(rule: Mapping[str, Any]) -> Iterator[Any]:
    yield [rule]
    yield {**rule, "no_such_field": 1}
    yield {name: value for name, value in rule.items() if name != "rule_name"}
    for name, value in (
        ("rule_name", ""),
        ("rule_name", f"{rule['rule_name']}\0"),
        ("rule_name", rule["rule_name"] + "x" * 1000),
        ("scope", "planet"),
        ("scope_value", 7),
        ("limit_type", "requests_per_blink"),
        ("limit_value", -1),
        ("limit_value", 0.5),
        ("limit_value", "10"),
        ("limit_value", True),
        ("limit_value", 10**30),
        ("enabled", "yes"),
    ):
        yield {**rule, name: value}


def _lone_surrogate(rule: Mapping[str, Any]) -> bytes:
    """Return valid JSON with a lone surrogate: text that cannot be stored must not cause a server error."""
    return json.dumps({**rule, "rule_name": rule["rule_name"] + "\ud800"}).encode()


def _infinite_limit(rule: Mapping[str, Any]) -> bytes:
    """Return valid JSON with a number that is infinite for most parsers."""
    return json.dumps({**rule, "limit_value": 0}).replace('"limit_value": 0', '"limit_value": 1e999').encode()


def _field_twice(rule: Mapping[str, Any]) -> bytes:
    """Return a rule with two values of one field: whoever checks the first one lets the second pass."""
    return json.dumps(rule).replace("{", '{"limit_value": 1, ', 1).encode()


def _rule(target: Target, purpose: str) -> dict[str, Any]:
    """Return a rule with the run id that affects no other client: no other request has its key."""
    return rules.for_one_key(f"{key(target)}-api-{purpose}", "requests_per_hour", 1_000_000, key=f"{key(target)}-api")


def _wrong_location(created: Answer) -> Sample:
    header = created.headers.get("Location", "")
    right = location(created) == f"{CONFIG}/{created.body['id']}" and header
    return None if right else created.fault(f"Location {header!r} does not name rule {created.body['id']}")


def _wrong_openapi(answer: Answer) -> Sample:
    if wrong := wrong_object(answer):
        return wrong
    described = answer.body.get("paths")
    missing = [path for path in (*LISTS, ANALYTICS) if not isinstance(described, dict) or path not in described]
    return answer.fault(f"does not describe {', '.join(missing)}") if missing else None
