"""Every route, in one table: the application and its OpenAPI document are built from it."""

import time
from collections.abc import Mapping
from functools import cache
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route, WebSocketRoute, request_response
from starlette.types import Receive, Scope, Send

from gaia_server import dashboard
from gaia_server.app_state import server_of
from gaia_server.auth import COOKIE, SESSION_S, Credential, too_many
from gaia_server.encoding import encode
from gaia_server.http import admin_api, admin_api_alerts, admin_api_import, admin_api_users, openapi, websocket
from gaia_server.http.definitions import answers, bodies, parameters
from gaia_server.http.definitions.answers import ListOf
from gaia_server.http.openapi import Handler, Operation
from gaia_server.http.request_parsing import read_json
from gaia_server.http.validation import valid
from gaia_server.limiting.rules import Rule, RuleFields
from gaia_server.problem import Json, Problem
from gaia_server.push.alerts import AlertRule, AlertRuleFields

REFUSAL = "gaia_server.refusal"
"""The key of the refusal by a rule in a login's scope: it is for everything but the right token."""

_HOME = "/api/admin/quotas"


async def health(request: Request) -> Response:
    """Report the health of this server and its database."""
    server = server_of(request)
    connected = await server.database_answers()
    return Json(server.health(connected=connected), status_code=200 if connected else 503)


async def livez(_request: Request) -> Response:
    """Report that the process answers."""
    return Json({"status": "alive"})


async def readyz(request: Request) -> Response:
    """Report whether requests can be decided."""
    if not await server_of(request).database_answers():
        passes = server_of(request).settings.on_db_down == "allow"
        raise Problem(503, f"the database does not answer: requests {'pass unlimited' if passes else 'are refused'}")
    return Json({"status": "ready"})


async def metrics(request: Request) -> Response:
    """Return the metrics for Prometheus."""
    server = server_of(request)
    return Response(await server.metrics_text(), media_type=server.metrics.content_type)


async def openapi_json(_request: Request) -> Response:
    """Return the OpenAPI document."""
    return Response(_openapi(), media_type=Json.media_type)


@cache
def _openapi() -> bytes:
    """Return the document, made once: nobody limits its requests."""
    return encode(openapi.document(TABLE)).encode()


async def login(request: Request) -> Response:
    """Exchange the admin token for a session cookie."""
    server, now = server_of(request), time.time()
    access = server.access
    if cross_origin := access.cross_origin_refusal(request):
        raise cross_origin
    body = await read_json(request)
    refusal: Problem | None = request.scope.get(REFUSAL)
    try:
        token = valid(bodies.Login, body, "the body is not a login").token
    except Problem as problem:
        few = problem.errors[:10]  # anybody may ask
        raise refusal or Problem(422, problem.detail, errors=few) from None
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


def _admin(
    method: str,
    path: str,
    handler: Handler,
    answered: Mapping[int, Any],
    refusals: tuple[int, ...] = (),
    query: type | None = None,
    body: type | None = None,
) -> Operation:
    return Operation(method, _HOME + path, handler, answered, refusals, query, body, admin=True, limited=True)


TABLE: tuple[Operation, ...] = (
    Operation("GET", "/health", health, {200: answers.Health, 503: answers.Health}),
    Operation("GET", "/livez", livez, {200: None}),
    Operation("GET", "/readyz", readyz, {200: None}, (503,)),
    Operation("GET", "/metrics", metrics, {200: None}, media_type="text/plain"),
    Operation("GET", "/openapi.json", openapi_json, {200: None}),
    Operation("POST", "/admin/login", login, {204: None}, (401, 403), body=bodies.Login, limited=True),
    _admin("GET", "/config", admin_api.list_rules, {200: ListOf[Rule]}, query=parameters.RuleFilters),
    _admin("POST", "/config", admin_api.create_rule, {201: Rule}, (409,), parameters.Confirmation, RuleFields),
    _admin(
        "POST",
        "/config/import",
        admin_api_import.import_rules,
        {200: answers.RuleChanges, 412: answers.ProblemDetails},
        (409,),
        parameters.ImportParameters,
        bodies.RuleImport,
    ),
    _admin(
        "GET",
        "/config/{id}/preview",
        admin_api.preview_rule,
        {200: answers.Preview},
        (404,),
        parameters.PreviewParameters,
    ),
    _admin("GET", "/config/{id}", admin_api.read_rule, {200: Rule}, (404,)),
    _admin(
        "PUT", "/config/{id}", admin_api.replace_rule, {200: Rule}, (404, 409, 412), parameters.Confirmation, RuleFields
    ),
    _admin("DELETE", "/config/{id}", admin_api.delete_rule, {204: None}, (404, 412)),
    _admin("GET", "/usage", admin_api.usage, {200: ListOf[answers.Usage]}, query=parameters.UsageFilters),
    _admin(
        "GET",
        "/violations",
        admin_api.violations,
        {200: ListOf[answers.RefusedRequests]},
        query=parameters.ViolationFilters,
    ),
    _admin(
        "GET",
        "/violations/clients",
        admin_api.violating_clients,
        {200: ListOf[answers.ViolatingClient]},
        query=parameters.ClientFilters,
    ),
    _admin("GET", "/alerts", admin_api_alerts.list_alerts, {200: ListOf[answers.Alert]}, query=parameters.AlertFilters),
    _admin(
        "POST",
        "/alerts/{id}/acknowledge",
        admin_api_alerts.acknowledge,
        {200: answers.Alert},
        (404, 409),
        body=bodies.Acknowledgement,
    ),
    _admin("GET", "/alerts/rules", admin_api_alerts.list_rules, {200: ListOf[AlertRule]}, query=parameters.Paging),
    _admin("POST", "/alerts/rules", admin_api_alerts.create_rule, {201: AlertRule}, (409,), body=AlertRuleFields),
    _admin("GET", "/alerts/rules/{id}", admin_api_alerts.read_rule, {200: AlertRule}, (404,)),
    _admin(
        "PUT",
        "/alerts/rules/{id}",
        admin_api_alerts.replace_rule,
        {200: AlertRule},
        (404, 409, 412),
        body=AlertRuleFields,
    ),
    _admin("DELETE", "/alerts/rules/{id}", admin_api_alerts.delete_rule, {204: None}, (404, 412)),
    _admin("POST", "/alerts/rules/{id}/mute", admin_api_alerts.mute_rule, {200: AlertRule}, (404,), body=bodies.Mute),
    _admin("GET", "/analytics", admin_api.analytics_, {200: answers.Analytics}, query=parameters.Period),
    _admin(
        "GET", "/users", admin_api_users.list_users, {200: ListOf[answers.FullestLimit]}, query=parameters.UserFilters
    ),
    _admin("GET", "/users/{user}", admin_api_users.read_user, {200: answers.User}, (404,)),
    _admin(
        "PUT",
        "/users/{user}",
        admin_api_users.replace_limits,
        {200: answers.User},
        (404, 409, 412),
        parameters.Confirmation,
        bodies.UserLimits,
    ),
    _admin("DELETE", "/users/{user}", admin_api_users.delete_limits, {204: None}, (404, 412)),
    _admin(
        "GET",
        "/reputation",
        admin_api_users.list_reputations,
        {200: ListOf[answers.UserReputation]},
        query=parameters.ReputationFilters,
    ),
    _admin(
        "GET",
        "/reputation-events",
        admin_api_users.list_events,
        {200: ListOf[answers.ReputationEvent]},
        query=parameters.EventFilters,
    ),
    _admin("GET", "/reputation/{user}", admin_api_users.read_reputation, {200: answers.UserReputation}, (404,)),
    _admin(
        "PUT",
        "/reputation/{user}",
        admin_api_users.replace_reputation,
        {200: answers.UserReputation},
        (404,),
        body=bodies.ReputationFields,
    ),
    _admin("DELETE", "/reputation/{user}", admin_api_users.delete_reputation, {204: None}, (404,)),
)


def routes() -> list[BaseRoute]:
    """Return all routes."""
    by_path: dict[str, dict[str, Handler]] = {}
    for one in TABLE:
        by_path.setdefault(one.path, {})[one.method] = _guarded(one) if one.admin else one.handler
    by_path |= {path: {"GET": handler} for path, handler in dashboard.handlers().items()}
    paths = {path: Path(path, handlers) for path, handlers in by_path.items()}
    return [
        FixedPaths({path: app for path, app in paths.items() if "{" not in path}),
        # a user's name may contain a slash
        *(Route(path.replace("{user}", "{user:path}"), app) for path, app in paths.items() if "{" in path),
        WebSocketRoute("/ws/admin/quotas", websocket.quotas),
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


def _guarded(operation: Operation) -> Handler:
    async def handler(request: Request) -> Response:
        if refusal := server_of(request).refusal(request):
            raise refusal
        if request.query_params and not operation.parameters:
            raise Problem(422, "this route takes no query parameters")
        return await operation.handler(request)

    return handler
