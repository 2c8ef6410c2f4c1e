"""The admin API: `/api/admin/quotas/...`. Handlers only read the request, ask the store and shape the answer."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gaia_server import analytics
from gaia_server.problem import Json, Problem
from gaia_server.rules import SCOPES, InvalidRule, RuleFields, parse
from gaia_server.server import Server
from gaia_server.store import DuplicateName, Page

MAX_BODY = 64 * 1024
MAX_ID = 2**63 - 1
MAX_PAGE = 200
DEFAULT_PAGE = 50
MAX_OFFSET = 1_000_000
DEFAULT_MINUTES = 60
MAX_MINUTES = 7 * 24 * 60
TEXT_PATTERN = r"[ -~]{1,300}"

Converter = Callable[[str], Any]


async def list_rules(request: Request) -> Response:
    """GET /config: rules, by id."""
    found, limit, offset = _query(request, {"scope": _scope, "enabled": _boolean, "rule_name": _text})
    return _page(await _server(request).store.rules_page(found, limit=limit, offset=offset), limit, offset)


async def create_rule(request: Request) -> Response:
    """POST /config: a new rule, in force here when the answer is sent."""
    server = _server(request)
    try:
        rule = await server.store.create_rule(await _rule(request))
    except DuplicateName as error:
        raise _taken(error) from error
    await server.read_rules()
    return Json(asdict(rule), status_code=201, headers={"Location": f"/api/admin/quotas/config/{rule.id}"})


async def read_rule(request: Request) -> Response:
    """GET /config/{id}: one rule."""
    return Json(asdict(_found(await _server(request).store.rule(_id(request)))))


async def replace_rule(request: Request) -> Response:
    """PUT /config/{id}: the rule as the body has it, in force here when the answer is sent."""
    server, rule_id = _server(request), _id(request)
    try:
        rule = _found(await server.store.replace_rule(rule_id, await _rule(request)))
    except DuplicateName as error:
        raise _taken(error) from error
    await server.read_rules()
    return Json(asdict(rule))


async def delete_rule(request: Request) -> Response:
    """DELETE /config/{id}: the rule and all that was counted for it."""
    server = _server(request)
    if not await server.store.delete_rule(_id(request)):
        raise Problem(404, "there is no rule with this id")
    await server.read_rules()
    return Response(status_code=204)


async def usage(request: Request) -> Response:
    """GET /usage: how much of each limit each key has used."""
    found, limit, offset = _query(request, {"rule_id": _number(1, MAX_ID), "scope": _scope, "key": _text})
    return _page(await _server(request).store.usage(found, limit=limit, offset=offset), limit, offset)


async def violations(request: Request) -> Response:
    """GET /violations: what was refused, newest first."""
    filters = {"rule_id": _number(1, MAX_ID), "scope": _scope, "key": _text, "since": _time, "until": _time}
    found, limit, offset = _query(request, filters)
    return _page(await _server(request).store.violations(found, limit=limit, offset=offset), limit, offset)


async def analytics_(request: Request) -> Response:
    """GET /analytics: decisions, violations and load of the last minutes."""
    minutes = _parameters(request, {"minutes": _number(1, MAX_MINUTES)}).get("minutes", DEFAULT_MINUTES)
    return Json(analytics.summary(await _server(request).store.analytics(minutes), minutes))


def _server(request: Request) -> Server:
    server: Server = request.app.state.server
    return server


def _page(page: Page, limit: int, offset: int) -> Response:
    return Json({"items": page.items, "total": page.total, "limit": limit, "offset": offset})


def _found(rule: Any) -> Any:
    if rule is None:
        raise Problem(404, "there is no rule with this id")
    return rule


def _taken(error: DuplicateName) -> Problem:
    return Problem(409, f"another rule is named {error}", errors=[{"field": "rule_name", "detail": "is taken"}])


def _id(request: Request) -> int:
    try:
        return _number(1, MAX_ID)(request.path_params["id"])  # type: ignore[no-any-return]
    except ValueError:
        raise Problem(404, "there is no rule with this id") from None


# Bodies


async def read_json(request: Request) -> Any:
    """Return the body as JSON. Raises Problem 400, 413 or 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "the body must be application/json")
    try:
        return json.loads(await _body(request), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Problem(400, "the body is not JSON") from None


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                raise Problem(413, f"the body is larger than {MAX_BODY} bytes", headers={"Connection": "close"})
    except ClientDisconnect:
        raise Problem(400, "the body is not complete") from None
    return bytes(body)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


async def _rule(request: Request) -> RuleFields:
    try:
        return parse(await read_json(request))
    except InvalidRule as error:
        raise Problem(422, "the body is no rule", errors=[asdict(found) for found in error.errors]) from error


# Query parameters


def _query(request: Request, filters: Mapping[str, Converter]) -> tuple[dict[str, Any], int, int]:
    """Return filters, limit and offset of a list."""
    paging = {"limit": _number(1, MAX_PAGE), "offset": _number(0, MAX_OFFSET)}
    found = _parameters(request, {**filters, **paging})
    return found, found.pop("limit", DEFAULT_PAGE), found.pop("offset", 0)


def _parameters(request: Request, known: Mapping[str, Converter]) -> dict[str, Any]:
    found, errors = {}, []
    for name, text in request.query_params.multi_items():
        if name not in known:
            errors.append({"field": name[:100], "detail": f"is no parameter; known: {', '.join(known)}"})
        elif name in found:
            errors.append({"field": name, "detail": "is given twice"})
        else:
            try:
                found[name] = known[name](text)
            except ValueError as error:
                errors.append({"field": name, "detail": str(error)})
    if errors:
        raise Problem(422, "the query is not right", errors=errors)
    return found


def _number(low: int, high: int) -> Converter:
    def convert(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) <= 19 and low <= int(text) <= high):
            raise ValueError(f"is not a whole number from {low} to {high}")
        return int(text)

    return convert


def _scope(text: str) -> str:
    if text not in SCOPES:
        raise ValueError(f"is not one of {', '.join(SCOPES)}")
    return text


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("is not true or false")
    return text == "true"


def _text(text: str) -> str:
    if not re.fullmatch(TEXT_PATTERN, text):
        raise ValueError("is not 1 to 300 printable ASCII characters")
    return text


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("is not a time with a zone, e.g. 2026-02-26T10:00:00Z")
    return moment
