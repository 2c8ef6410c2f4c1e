"""Every route, in one table: the application and its OpenAPI document are built from it."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route, WebSocketRoute, request_response
from starlette.types import Receive, Scope, Send

from gaia_server import dashboard, live
from gaia_server.app_state import Server
from gaia_server.auth import COOKIE, SESSION_S, Credential, too_many
from gaia_server.encoding import encode
from gaia_server.http import admin_api, admin_api_alerts, admin_api_users, openapi
from gaia_server.http.openapi import Operation
from gaia_server.http.request_parsing import read_json
from gaia_server.problem import Json, Problem

Handler = Callable[[Request], Awaitable[Response]]

REFUSAL = "gaia_server.refusal"
"""The key of the refusal by a rule in a login's scope: it is for everything but the right token."""

_HOME = "/api/admin/quotas"
_PAGE = ("limit", "offset")


@dataclass(frozen=True, slots=True)
class Entry:
    """One method of one path."""

    method: str
    path: str
    handler: Handler
    operation: Operation


def _admin(
    method: str,
    path: str,
    handler: Handler,
    answers: Mapping[int, str | None],
    summary: str,
    parameters: tuple[str, ...] = (),
    body: str | None = None,
) -> Entry:
    operation = Operation(summary, answers, parameters, body, admin=True, limited=True)
    return Entry(method, _HOME + path, handler, operation)


async def health(request: Request) -> Response:
    """Report the health of this server and its database."""
    server = _server(request)
    connected = await server.database_answers()
    return Json(server.health(connected=connected), status_code=200 if connected else 503)


async def livez(_request: Request) -> Response:
    """Report that the process answers."""
    return Json({"status": "alive"})


async def readyz(request: Request) -> Response:
    """Report whether requests can be decided."""
    if not await _server(request).database_answers():
        passes = _server(request).settings.on_db_down == "allow"
        raise Problem(503, f"the database does not answer: requests {'pass unlimited' if passes else 'are refused'}")
    return Json({"status": "ready"})


async def metrics(request: Request) -> Response:
    """Return the metrics for Prometheus."""
    server = _server(request)
    return Response(await server.metrics_text(), media_type=server.metrics.content_type)


async def openapi_json(_request: Request) -> Response:
    """Return the OpenAPI document."""
    return Response(_openapi(), media_type=Json.media_type)


@cache
def _openapi() -> bytes:
    """Return the document, made once: nobody limits its requests."""
    return encode(openapi.document({(entry.path, entry.method): entry.operation for entry in TABLE})).encode()


async def login(request: Request) -> Response:
    """Exchange the admin token for a session cookie."""
    server, now = _server(request), time.time()
    access = server.access
    if cross_origin := access.cross_origin_refusal(request):
        raise cross_origin
    body = await read_json(request)
    token = body.get("token") if isinstance(body, dict) and set(body) == {"token"} else None
    refusal: Problem | None = request.scope.get(REFUSAL)
    if not isinstance(token, str):
        raise refusal or Problem(
            422, "the body is not a login", errors=[{"field": "token", "detail": "must be the only field, a string"}]
        )
    match access.login(token, server.address(request), now):
        case Credential.NOT_COMPARED:
            raise refusal or too_many(server.retry_s(request))
        case Credential.WRONG:
            raise refusal or Problem(401, "this is not the admin token")
    response = Response(status_code=204)
    response.set_cookie(
        COOKIE,
        access.session(now),
        max_age=SESSION_S,
        httponly=True,
        samesite="strict",
        secure=access.is_encrypted(request),
    )
    return response


TABLE: tuple[Entry, ...] = (
    Entry("GET", "/health", health, Operation("Health of the server", {200: "Health", 503: "Health"})),
    Entry("GET", "/livez", livez, Operation("Whether the process answers", {200: None})),
    Entry("GET", "/readyz", readyz, Operation("Whether requests can be decided", {200: None, 503: "Problem"})),
    Entry("GET", "/metrics", metrics, Operation("Prometheus metrics", {200: None}, media_type="text/plain")),
    Entry("GET", "/openapi.json", openapi_json, Operation("This document", {200: None})),
    Entry(
        "POST",
        "/admin/login",
        login,
        Operation(
            "Create a session for the dashboard",
            {204: None, 401: "Problem", 403: "Problem"},
            body="Login",
            limited=True,
        ),
    ),
    _admin(
        "GET",
        "/config",
        admin_api.list_rules,
        {200: "Rules"},
        "Rules",
        (*_PAGE, "scope", "enabled", "rule_name", "search"),
    ),
    _admin(
        "POST",
        "/config",
        admin_api.create_rule,
        {201: "Rule", 409: "Problem"},
        "Create a rule",
        ("confirm",),
        body="RuleFields",
    ),
    _admin("GET", "/config/{id}", admin_api.read_rule, {200: "Rule", 404: "Problem"}, "One rule"),
    _admin(
        "PUT",
        "/config/{id}",
        admin_api.replace_rule,
        {200: "Rule", 404: "Problem", 409: "Problem", 412: "Changed"},
        "Replace a rule",
        ("confirm",),
        body="RuleFields",
    ),
    _admin(
        "DELETE",
        "/config/{id}",
        admin_api.delete_rule,
        {204: None, 404: "Problem", 412: "Changed"},
        "Delete a rule and its counts",
    ),
    _admin("GET", "/usage", admin_api.usage, {200: "Usages"}, "Use of each limit", (*_PAGE, "rule_id", "scope", "key")),
    _admin(
        "GET",
        "/violations",
        admin_api.violations,
        {200: "Violations"},
        "Refused requests",
        (*_PAGE, "rule_id", "scope", "key", "since", "until"),
    ),
    _admin(
        "GET",
        "/alerts",
        admin_api_alerts.list_alerts,
        {200: "Alerts"},
        "Alerts",
        (*_PAGE, "state", "since", "until"),
    ),
    _admin(
        "POST",
        "/alerts/{id}/acknowledge",
        admin_api_alerts.acknowledge,
        {200: "Alert", 404: "Problem", 409: "Problem"},
        "Acknowledge a firing alert",
        body="Acknowledgement",
    ),
    _admin("GET", "/alerts/rules", admin_api_alerts.list_rules, {200: "AlertRules"}, "Alert rules", _PAGE),
    _admin(
        "POST",
        "/alerts/rules",
        admin_api_alerts.create_rule,
        {201: "AlertRule", 409: "Problem"},
        "Create an alert rule",
        body="AlertRuleFields",
    ),
    _admin(
        "GET",
        "/alerts/rules/{id}",
        admin_api_alerts.read_rule,
        {200: "AlertRule", 404: "Problem"},
        "One alert rule",
    ),
    _admin(
        "PUT",
        "/alerts/rules/{id}",
        admin_api_alerts.replace_rule,
        {200: "AlertRule", 404: "Problem", 409: "Problem", 412: "Changed"},
        "Replace an alert rule",
        body="AlertRuleFields",
    ),
    _admin(
        "DELETE",
        "/alerts/rules/{id}",
        admin_api_alerts.delete_rule,
        {204: None, 404: "Problem", 412: "Changed"},
        "Delete an alert rule; its alert resolves",
    ),
    _admin(
        "POST",
        "/alerts/rules/{id}/mute",
        admin_api_alerts.mute_rule,
        {200: "AlertRule", 404: "Problem"},
        "Let an alert rule notify nobody for a time",
        body="Mute",
    ),
    _admin(
        "GET",
        "/analytics",
        admin_api.analytics_,
        {200: "Analytics"},
        "Analytics of the last minutes",
        ("minutes", "per"),
    ),
    _admin(
        "GET", "/users", admin_api_users.list_users, {200: "Users"}, "Counted users, by their most used limit", _PAGE
    ),
    _admin("GET", "/users/{user}", admin_api_users.read_user, {200: "User", 404: "Problem"}, "One user's limits"),
    _admin(
        "PUT",
        "/users/{user}",
        admin_api_users.replace_limits,
        {200: "User", 404: "Problem", 409: "Problem", 412: "Changed"},
        "Set one user's own limits",
        ("confirm",),
        body="UserLimits",
    ),
    _admin(
        "DELETE",
        "/users/{user}",
        admin_api_users.delete_limits,
        {204: None, 404: "Problem", 412: "Changed"},
        "Delete one user's own limits and their counts",
    ),
    _admin(
        "GET",
        "/reputation",
        admin_api_users.list_reputations,
        {200: "Reputations"},
        "Known scores, lowest first",
        (*_PAGE, "tier", "min_score", "max_score"),
    ),
    _admin(
        "GET",
        "/reputation-events",
        admin_api_users.list_events,
        {200: "ReputationEvents"},
        "Changes of scores",
        (*_PAGE, "user", "kind", "since", "until"),
    ),
    _admin(
        "GET",
        "/reputation/{user}",
        admin_api_users.read_reputation,
        {200: "Reputation", 404: "Problem"},
        "One user's reputation",
    ),
    _admin(
        "PUT",
        "/reputation/{user}",
        admin_api_users.replace_reputation,
        {200: "Reputation", 404: "Problem"},
        "Set a reputation manually",
        body="ReputationFields",
    ),
    _admin(
        "DELETE",
        "/reputation/{user}",
        admin_api_users.delete_reputation,
        {204: None, 404: "Problem"},
        "Delete a reputation",
    ),
)


def routes() -> list[BaseRoute]:
    """Return all routes."""
    by_path: dict[str, dict[str, Handler]] = {}
    for entry in TABLE:
        by_path.setdefault(entry.path, {})[entry.method] = _guarded(entry) if entry.operation.admin else entry.handler
    by_path |= {path: {"GET": handler} for path, handler in dashboard.handlers().items()}
    paths = {path: Path(path, handlers) for path, handlers in by_path.items()}
    return [
        FixedPaths({path: app for path, app in paths.items() if "{" not in path}),
        # a user's name may contain a slash
        *(Route(path.replace("{user}", "{user:path}"), app) for path, app in paths.items() if "{" in path),
        WebSocketRoute("/ws/admin/quotas", live.quotas),
    ]


class Path:
    """One path as an ASGI application: dispatches a request to the handler of its method."""

    def __init__(self, path: str, handlers: Mapping[str, Handler]) -> None:
        self.path = path
        self._apps = {method: request_response(handler) for method, handler in handlers.items()}
        if "GET" in self._apps:
            self._apps["HEAD"] = self._apps["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises HTTPException 405."""
        app = self._apps.get(scope["method"])
        if app is None:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(self._apps))})
        await app(scope, receive, send)


class FixedPaths(BaseRoute):
    """All paths without parameters, found by one look-up: trying forty patterns costs more than an empty response."""

    def __init__(self, apps: Mapping[str, Path]) -> None:
        self._apps = apps

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return the application of an HTTP request's path."""
        app = self._apps.get(scope["path"]) if scope["type"] == "http" else None
        return (Match.FULL, {"endpoint": app, "path_params": {}}) if app else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await scope["endpoint"](scope, receive, send)


def _server(request: Request) -> Server:
    server: Server = request.app.state.server
    return server


def _guarded(entry: Entry) -> Handler:
    async def handler(request: Request) -> Response:
        if refusal := _server(request).refusal(request):
            raise refusal
        if request.query_params and not entry.operation.parameters:
            raise Problem(422, "this route takes no query parameters")
        return await entry.handler(request)

    return handler
