"""The admin API: `/api/admin/quotas/...`. Handlers only read the request, query the store and build the response."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from gaia_server import analytics
from gaia_server.app_state import Server
from gaia_server.http.preconditions import changed, etag, is_confirmed, matches, require_confirmation
from gaia_server.http.request_parsing import MAX_ID, boolean, choice, number, parameters, query, read_json, text, time
from gaia_server.limiting.principals import Principal
from gaia_server.limiting.rules import COUNTED_BY, SCOPES, InvalidFields, Rule, RuleFields, parse
from gaia_server.problem import Json, Problem
from gaia_server.storage.store import DuplicateName, Page

DEFAULT_MINUTES = 60
MAX_MINUTES = 30 * 24 * 60

_scope = choice(SCOPES)
_Fields = TypeVar("_Fields")


async def list_rules(request: Request) -> Response:
    """GET /config: rules, by id."""
    found, limit, offset = query(request, {"scope": _scope, "enabled": boolean, "rule_name": text, "search": text})
    return list_of(await _server(request).store.rules_page(found, limit=limit, offset=offset), limit, offset)


async def create_rule(request: Request) -> Response:
    """POST /config: a new rule, in force in this process when the response is sent."""
    server, confirmed, wanted = _server(request), is_confirmed(request), await _rule(request)
    if not confirmed:
        require_confirmation(server.principal(request), [(wanted, 0)])
    try:
        rule = await server.store.create_rule(wanted)
    except DuplicateName as error:
        raise _taken(error) from error
    await server.read_rules()
    return _answer(rule, 201, {"Location": f"/api/admin/quotas/config/{rule.id}"})


async def read_rule(request: Request) -> Response:
    """GET /config/{id}: one rule."""
    return _answer(_found(await _server(request).store.rule(_id(request))))


async def replace_rule(request: Request) -> Response:
    """PUT /config/{id}: replace the rule by the body, in force in this process when the response is sent."""
    server, confirmed, wanted = _server(request), is_confirmed(request), await _rule(request)
    before = await _unchanged(request, asdict(wanted))
    if not confirmed:
        principal = server.principal(request)
        require_confirmation(principal, [(wanted, await _used(server, before, wanted, principal))])
    try:
        rule = await server.store.replace_rule(before.id, wanted, _expected(request, before))
    except DuplicateName as error:
        raise _taken(error) from error
    if rule is None:  # it has just been changed or deleted
        await _unchanged(request, asdict(wanted))
    await server.read_rules()
    return _answer(_found(rule))


async def delete_rule(request: Request) -> Response:
    """DELETE /config/{id}: the rule and all its counts."""
    server = _server(request)
    before = await _unchanged(request, None)
    if not await server.store.delete_rule(before.id, _expected(request, before)):
        await _unchanged(request, None)  # it has just been changed or deleted
    await server.read_rules()
    return Response(status_code=204)


async def usage(request: Request) -> Response:
    """GET /usage: the use of each limit by each key."""
    server = _server(request)
    found, limit, offset = query(request, {"rule_id": number(1, MAX_ID), "scope": _scope, "key": text})
    in_force = server.settings.reputation_enabled
    return list_of(await server.store.usage(found, limit=limit, offset=offset, reputation=in_force), limit, offset)


async def violations(request: Request) -> Response:
    """GET /violations: refused requests, newest first."""
    filters = {"rule_id": number(1, MAX_ID), "scope": _scope, "key": text, "since": time, "until": time}
    found, limit, offset = query(request, filters)
    return list_of(await _server(request).store.violations(found, limit=limit, offset=offset), limit, offset)


async def analytics_(request: Request) -> Response:
    """GET /analytics: decisions, violations and load of the last minutes."""
    found = parameters(request, {"minutes": number(1, MAX_MINUTES), "per": choice(analytics.PERIODS)})
    minutes, per = found.get("minutes", DEFAULT_MINUTES), found.get("per", "minute")
    return Json(analytics.summary(await _server(request).store.analytics(minutes, per), minutes, per))


def _server(request: Request) -> Server:
    server: Server = request.app.state.server
    return server


def list_of(page: Page, limit: int, offset: int) -> Response:
    """Return the response of a list."""
    return Json({"items": page.items, "total": page.total, "limit": limit, "offset": offset})


def fields(parsed: Callable[[Any], _Fields], body: Any, otherwise: str) -> _Fields:
    """Return the fields of a body. Raises Problem 422 with the detail `otherwise` and the invalid fields."""
    try:
        return parsed(body)
    except InvalidFields as error:
        raise Problem(422, otherwise, errors=[asdict(found) for found in error.errors]) from error


def _answer(rule: Rule, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Json(asdict(rule), status_code=status, headers={**(headers or {}), "ETag": etag(asdict(rule))})


async def _unchanged(request: Request, wanted: Any) -> Rule:
    """Return the rule. Raises Problem 404 without it, 412 if it is not the version that `If-Match` names."""
    rule: Rule = _found(await _server(request).store.rule(_id(request)))
    if matches(request, version := etag(asdict(rule))):
        return rule
    raise changed(asdict(rule), wanted, version)


def _expected(request: Request, before: Rule) -> datetime | None:
    return before.updated_at if "if-match" in request.headers else None


async def _used(server: Server, before: Rule, wanted: RuleFields, principal: Principal) -> int:
    """Return the requests of `principal` that the changed rule has counted: a rule about something else starts anew."""
    if any(getattr(before, name) != getattr(wanted, name) for name in COUNTED_BY):
        return 0
    key = "global" if wanted.scope == "global" else principal.key
    page = await server.store.usage({"rule_id": before.id, "key": key}, limit=1, offset=0, reputation=False)
    return sum(item["used"] for item in page.items)


def _taken(error: DuplicateName) -> Problem:
    return Problem(409, f"another rule is named {error}", errors=[{"field": "rule_name", "detail": "is taken"}])


def _found(rule: Any) -> Any:
    if rule is None:
        raise Problem(404, "there is no rule with this id")
    return rule


def _id(request: Request) -> int:
    try:
        return number(1, MAX_ID)(request.path_params["id"])  # type: ignore[no-any-return]
    except ValueError:
        raise Problem(404, "there is no rule with this id") from None


async def _rule(request: Request) -> RuleFields:
    return fields(parse, await read_json(request), "the body is not a valid rule")
