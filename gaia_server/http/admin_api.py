"""The admin API: `/api/admin/quotas/...`. Handlers only read the request, query the store and build the response."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gaia_server import analytics
from gaia_server.app_state import Server, server_of
from gaia_server.http.definitions.parameters import (
    ClientFilters,
    Paging,
    Period,
    PreviewParameters,
    RuleFilters,
    UsageFilters,
    ViolationFilters,
)
from gaia_server.http.preconditions import changed, etag, expected, is_confirmed, matches, require_confirmation
from gaia_server.http.request_parsing import query, read_json, row_id
from gaia_server.http.validation import valid
from gaia_server.limiting.principals import Principal
from gaia_server.limiting.rules import COUNTED_BY, Rule, RuleFields
from gaia_server.problem import Json, Problem
from gaia_server.storage.queries import PREVIEW, RULES, USAGE, VIOLATING_CLIENTS, VIOLATIONS, Listing
from gaia_server.storage.store import DuplicateName, Page


async def list_rules(request: Request) -> Response:
    """List rules, by id."""
    return await list_of(request, RULES, query(request, RuleFilters))


async def create_rule(request: Request) -> Response:
    """Create a rule, in force in this process when the response is sent."""
    server, confirmed, wanted = server_of(request), is_confirmed(request), await _rule(request)
    if not confirmed:
        require_confirmation(server.principal(request), [(wanted, 0)])
    try:
        rule = await server.store.create_rule(wanted)
    except DuplicateName as error:
        raise _taken(error) from error
    await server.read_rules()
    return _answer(rule, 201, {"Location": f"/api/admin/quotas/config/{rule.id}"})


async def read_rule(request: Request) -> Response:
    """Return one rule."""
    return _answer(_found(await server_of(request).store.rule(_id(request))))


async def replace_rule(request: Request) -> Response:
    """Replace a rule by the body, in force in this process when the response is sent."""
    server, confirmed, wanted = server_of(request), is_confirmed(request), await _rule(request)
    before = await _unchanged(request, asdict(wanted))
    if not confirmed:
        principal = server.principal(request)
        require_confirmation(principal, [(wanted, await used(server, before, wanted, principal))])
    try:
        rule = await server.store.replace_rule(before.id, wanted, expected(request, before.updated_at))
    except DuplicateName as error:
        raise _taken(error) from error
    if rule is None:  # it has just been changed or deleted
        await _unchanged(request, asdict(wanted))
    await server.read_rules()
    return _answer(_found(rule))


async def preview_rule(request: Request) -> Response:
    """Return what another limit would have refused in the current window of each client."""
    server = server_of(request)
    given = query(request, PreviewParameters)
    rule = _found(await server.store.rule(_id(request)))
    wanted = {"rule_id": rule.id, "limit_value": rule.limit_value if given.limit_value is None else given.limit_value}
    (found,) = await server.store.rows(PREVIEW, {**wanted, "reputation": server.settings.reputation_enabled})
    return Json({**wanted, "limit_type": rule.limit_type, **found})


async def delete_rule(request: Request) -> Response:
    """Delete a rule and all its counts."""
    server = server_of(request)
    before = await _unchanged(request, None)
    if not await server.store.delete_rule(before.id, expected(request, before.updated_at)):
        await _unchanged(request, None)  # it has just been changed or deleted
    await server.read_rules()
    return Response(status_code=204)


async def usage(request: Request) -> Response:
    """List the use of each limit by each key."""
    in_force = server_of(request).settings.reputation_enabled
    return await list_of(request, USAGE, query(request, UsageFilters), reputation=in_force)


async def violations(request: Request) -> Response:
    """List refused requests, newest first."""
    return await list_of(request, VIOLATIONS, query(request, ViolationFilters))


async def violating_clients(request: Request) -> Response:
    """List the refused requests of each client, most first."""
    return await list_of(request, VIOLATING_CLIENTS, query(request, ClientFilters))


async def analytics_(request: Request) -> Response:
    """Return decisions, violations and load of the last minutes, or of those until a time."""
    wanted = query(request, Period)
    rows = await server_of(request).store.analytics(wanted.minutes, wanted.per, wanted.until)
    return Json(analytics.summary(rows, wanted.minutes, wanted.per))


async def list_of(request: Request, listing: Listing, wanted: Paging, **given: Any) -> Response:
    """Return the response of a list; `given` is for the join of the listing."""
    store = server_of(request).store
    page = await store.page(listing, wanted.filters, limit=wanted.limit, offset=wanted.offset, **given)
    return page_of(page, wanted)


def page_of(page: Page, wanted: Paging) -> Response:
    """Return the response of a part of a list."""
    return Json({"items": page.items, "total": page.total, "limit": wanted.limit, "offset": wanted.offset})


def _answer(rule: Rule, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Json(asdict(rule), status_code=status, headers={**(headers or {}), "ETag": etag(asdict(rule))})


async def _unchanged(request: Request, wanted: Any) -> Rule:
    """Return the rule. Raises Problem 404 without it, 412 if it is not the version that `If-Match` names."""
    rule: Rule = _found(await server_of(request).store.rule(_id(request)))
    if matches(request, version := etag(asdict(rule))):
        return rule
    raise changed(asdict(rule), wanted, version)


async def used(server: Server, before: Rule, wanted: RuleFields, principal: Principal) -> int:
    """Return the requests of `principal` that the changed rule has counted: a rule about something else starts anew."""
    if any(getattr(before, name) != getattr(wanted, name) for name in COUNTED_BY):
        return 0
    key = "global" if wanted.scope == "global" else principal.key
    counted = {"rule_id": before.id, "key": key}
    page = await server.store.page(USAGE, counted, limit=1, offset=0, reputation=False)
    return sum(item["used"] for item in page.items)


def _taken(error: DuplicateName) -> Problem:
    return Problem(409, f"another rule is named {error}", errors=[{"field": "rule_name", "detail": "is taken"}])


def _found(rule: Any) -> Any:
    if rule is None:
        raise Problem(404, "there is no rule with this id")
    return rule


def _id(request: Request) -> int:
    return row_id(request, "there is no rule with this id")


async def _rule(request: Request) -> RuleFields:
    return valid(RuleFields, await read_json(request), "the body is not a valid rule")
