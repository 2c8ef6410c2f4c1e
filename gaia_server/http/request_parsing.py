"""Parsing of request bodies and query parameters. Invalid input is refused, never guessed."""

import asyncio
import json
from typing import Any

from pydantic import ValidationError
from starlette.requests import ClientDisconnect, HTTPConnection, Request

from gaia_server.http.definitions.parameters import RULE_ID
from gaia_server.http.validation import Defined, adapter, valid
from gaia_server.problem import Problem

MAX_BODY = 64 * 1024
READ_ON = 1024 * 1024
"""How much of a body that is too large is discarded: an immediate close could lose the response."""

BODY_S = 10.0
"""The time limit for a body."""

BROKEN_BODY = "broken_body"
"""In the request's state: the chunks of its body cannot be read."""


def query(request: HTTPConnection, definition: type[Defined], *, ignored: bool = False) -> Defined:
    """Return the query's parameters; others are `ignored`, or refused. Raises Problem 422."""
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if ignored and name not in definition.__annotations__:
            continue
        if name in given:
            raise _twice("query parameter", name)
        given[name] = value
    return valid(definition, given, "the query parameters are invalid")


def row_id(request: Request, otherwise: str) -> int:
    """Return the id in the path. Raises Problem 404, with `otherwise`, if it can be the id of no row."""
    try:
        return int(adapter(RULE_ID).validate_python(request.path_params["id"]))
    except ValidationError:
        raise Problem(404, otherwise) from None


async def read_json(request: Request, most: int = MAX_BODY) -> Any:
    """Return the body, of `most` bytes, as JSON: in UTF-8, and no field twice.

    Raises Problem 400, 408, 413, 415 or 422.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "the body must be application/json")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Problem(415, "the body must not be compressed", headers={"Accept-Encoding": "identity"})
    try:
        return json.loads((await _body(request, most)).decode(), parse_constant=_refuse, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        raise Problem(400, "the body is not JSON") from None


async def _body(request: Request, most: int) -> bytes:
    body, size = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size <= most:
                    body += chunk
                elif size > READ_ON:
                    raise _too_large(most, Connection="close")
    except TimeoutError:
        raise Problem(408, f"the body did not arrive within {BODY_S:g} s", headers={"Connection": "close"}) from None
    except ClientDisconnect:
        raise Problem(400, "the body is incomplete") from None
    if getattr(request.state, BROKEN_BODY, False):
        raise Problem(400, "the chunks of the body cannot be read")
    if size > most:
        raise _too_large(most)
    return bytes(body)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object; of a field that is given twice every parser may read another value (RFC 8259 section 4)."""
    found: dict[str, Any] = {}
    for field, value in pairs:
        if field in found:
            raise _twice("field of the body", field)
        found[field] = value
    return found


def _twice(what: str, name: str) -> Problem:
    errors = [{"field": name[:100], "detail": "is given more than once"}]
    return Problem(422, f"a {what} is given more than once", errors=errors)


def _too_large(most: int, **headers: str) -> Problem:
    return Problem(413, f"the body is larger than {most} bytes", headers=headers)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
