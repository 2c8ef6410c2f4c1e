"""Parsing of request bodies and query parameters. Invalid input is refused, never guessed."""

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.requests import ClientDisconnect, Request

from gaia_server.problem import Problem

MAX_BODY = 64 * 1024
READ_ON = 1024 * 1024
"""How much of a body that is too large is discarded: an immediate close could lose the response."""

BODY_S = 10.0
"""The time limit for a body."""

BROKEN_BODY = "broken_body"
"""In the request's state: the chunks of its body cannot be read."""

MAX_ID = 2**63 - 1
MAX_PAGE = 200
DEFAULT_PAGE = 50
MAX_OFFSET = 1_000_000
TEXT_PATTERN = r"[ -~]{1,300}"
USER_PATTERN = r"[!-~]{1,200}"

Converter = Callable[[str], Any]


# Bodies


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
            twice = {"field": field[:100], "detail": "is given more than once"}
            raise Problem(422, "a field of the body is given more than once", errors=[twice])
        found[field] = value
    return found


def _too_large(most: int, **headers: str) -> Problem:
    return Problem(413, f"the body is larger than {most} bytes", headers=headers)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


# Query parameters


def query(request: Request, filters: Mapping[str, Converter]) -> tuple[dict[str, Any], int, int]:
    """Return filters, limit and offset of a list. Raises Problem 422."""
    paging = {"limit": number(1, MAX_PAGE), "offset": number(0, MAX_OFFSET)}
    found = parameters(request, {**filters, **paging})
    return found, found.pop("limit", DEFAULT_PAGE), found.pop("offset", 0)


def parameters(request: Request, known: Mapping[str, Converter]) -> dict[str, Any]:
    """Return the query's parameters, converted. Raises Problem 422."""
    found, errors = {}, []
    for field, given in request.query_params.multi_items():
        if field not in known:
            errors.append({"field": field[:100], "detail": f"is not a parameter; known: {', '.join(known)}"})
        elif field in found:
            errors.append({"field": field, "detail": "is given more than once"})
        else:
            try:
                found[field] = known[field](given)
            except ValueError as error:
                errors.append({"field": field, "detail": str(error)})
    if errors:
        raise Problem(422, "the query parameters are invalid", errors=errors)
    return found


def number(low: int, high: int) -> Converter:
    """Return a converter to a whole number within bounds."""

    def convert(given: str) -> int:
        if not (given.isascii() and given.isdecimal() and len(given) <= 19 and low <= int(given) <= high):
            raise ValueError(f"is not a whole number from {low} to {high}")
        return int(given)

    return convert


def choice(among: Sequence[str]) -> Converter:
    """Return a converter to one of several words."""

    def convert(given: str) -> str:
        if given not in among:
            raise ValueError(f"is not one of {', '.join(among)}")
        return given

    return convert


def boolean(given: str) -> bool:
    """Convert true or false."""
    if given not in ("true", "false"):
        raise ValueError("is not true or false")
    return given == "true"


def name(given: str) -> str:
    """Convert a user name, in the form that a header can carry."""
    if not re.fullmatch(USER_PATTERN, given):
        raise ValueError("is not 1 to 200 printable ASCII characters without spaces")
    return given


def text(given: str) -> str:
    """Convert printable ASCII text."""
    if not re.fullmatch(TEXT_PATTERN, given):
        raise ValueError("is not 1 to 300 printable ASCII characters")
    return given


def time(given: str) -> datetime:
    """Convert a time with a zone."""
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("is not a time with a zone, e.g. 2026-02-26T10:00:00Z")
    return moment
