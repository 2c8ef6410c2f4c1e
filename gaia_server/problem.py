"""Errors as RFC 9457 problem details: one format for every error response."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gaia_server.encoding import encode


class Problem(Exception):
    """An error response. `errors` names the invalid fields, `more` has extension members."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        type_: str = "about:blank",
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{status} {detail}")
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        self.type = type_
        self.more = dict(more or {})

    def response(self) -> Response:
        """Return the response."""
        body: dict[str, Any] = {
            "type": self.type,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = list(self.errors)
        body |= self.more
        return Json(body, status_code=self.status, headers=self.headers, media_type="application/problem+json")


class Json(Response):
    """A JSON response; times in it become RFC 3339 UTC with milliseconds."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return encode(content).encode()


async def on_problem(_request: Request, error: Exception) -> Response:
    """Answer with the Problem that a handler raised."""
    assert isinstance(error, Problem)  # noqa: S101 - registered for this class only
    return error.response()


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer a refusal of the router: an unknown path or method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    details = {404: "no such path", 405: f"this path does not support {request.method}"}
    return Problem(error.status_code, details.get(error.status_code, error.detail), headers=error.headers).response()


async def on_error(_request: Request, _error: Exception) -> Response:
    """Answer an internal error; the exception is in the log and is not shown to clients."""
    return Problem(500, "internal server error; the server's log has the details").response()
