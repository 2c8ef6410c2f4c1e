"""The ASGI application: the routes, rate limits in front of them, metrics around everything."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPMethod

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gaia_server import live
from gaia_server.app_state import Server
from gaia_server.auth import Credential
from gaia_server.connection import Unavailable
from gaia_server.dashboard import ASSETS
from gaia_server.http.routes import REFUSAL, Path, routes
from gaia_server.limiting import management, ratelimit_headers
from gaia_server.limiting.decision import Decision
from gaia_server.limiting.rules import RESOURCE_TYPES
from gaia_server.problem import Problem, on_error, on_http_exception, on_problem

_API = "/api/"
_QUOTAS = "/api/admin/quotas/"
_LOGIN = "/admin/login"
_METHODS = frozenset(HTTPMethod)
_TOO_MUCH_MANAGEMENT = Problem(429, "too many requests to manage rules", headers={"Retry-After": "1"})


def build(server: Server) -> Starlette:
    """Return the ASGI application of one server process."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with live.running(server):
            yield

    app = Starlette(
        routes=routes(),
        middleware=[Middleware(Observe, server=server), Middleware(Limit, server=server)],
        exception_handlers={
            Problem: on_problem,
            Unavailable: on_unavailable,
            HTTPException: on_http_exception,
            Exception: on_error,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.server = server
    return app


def unavailable() -> Problem:
    """Return the response while the database is unavailable: no request passes unlimited."""
    return Problem(503, "the database does not answer", headers={"Retry-After": "1"})


async def on_unavailable(_request: Request, _error: Exception) -> Response:
    """Answer a handler that could not reach the database."""
    return unavailable().response()


def resource_type(path: str) -> str | None:
    """Return the resource type that a path is limited as, None if it is not limited."""
    if path == _LOGIN:
        return "login"
    if not path.startswith(_API):
        return None
    name = path.removeprefix(_QUOTAS).partition("/")[0]
    return name if path.startswith(_QUOTAS) and name in RESOURCE_TYPES else "other"


class Limit:
    """Admits a request if all rules admit it, and adds the rate limit headers.

    No rule locks administrators out: they may sign in, and manage rules within a budget of its own.
    """

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self._app = app
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        resource = resource_type(scope["path"]) if scope["type"] == "http" else None
        if resource is None or not self._server.settings.rate_limit_enabled:
            await self._app(scope, receive, send)
            return
        try:
            decision = await self._server.decide(HTTPConnection(scope), resource)
        except Unavailable:
            await unavailable().response()(scope, receive, send)
            return
        headers = ratelimit_headers.headers(decision)
        refusal = None if decision.admitted else _refusal(decision, headers)
        if refusal and resource == "login":
            scope[REFUSAL] = refusal  # its handler refuses everything but the right token
        elif refusal and not self._is_management(HTTPConnection(scope), resource, decision):
            await refusal.response()(scope, receive, send)
            return
        elif refusal and not self._server.management.take(time.monotonic()):
            await _TOO_MUCH_MANAGEMENT.response()(scope, receive, send)
            return
        await self._app(scope, receive, _adding(headers, send))

    def _is_management(self, connection: HTTPConnection, resource: str, decision: Decision) -> bool:
        return management.may_pass(resource, decision) and self._server.credential(connection) is Credential.RIGHT


def _refusal(decision: Decision, headers: dict[str, str]) -> Problem:
    names = ", ".join(refusal.rule_name for refusal in decision.refusals)
    return Problem(429, f"refused by {names}", headers=headers)


def _adding(headers: dict[str, str], send: Send) -> Send:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]  # no handler sets any of them

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *raw]
        await send(message)

    return sending


class Observe:
    """Counts and times every request by the path's template: no client can invent a label."""

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self._app = app
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            self._count(scope, status, time.perf_counter() - started)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = _label(scope)
        self._server.requests += 1
        self._server.errors += status >= 500
        self._server.metrics.request(method, route, status).inc()
        self._server.metrics.route(route).observe(seconds)


def _label(scope: Scope) -> str:
    """Return the template of the path; a refused request was not routed and counts by its resource type."""
    endpoint = scope.get("endpoint")
    if isinstance(endpoint, Path):
        return ASSETS if endpoint.path.startswith(ASSETS) else endpoint.path
    return resource_type(scope["path"]) or "unknown"
