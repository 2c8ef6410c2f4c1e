"""The reason for a translation that failed: which adapter, of what, by which method, and why. Pure."""

from collections.abc import Mapping
from typing import Any

from gaia_checks.contract.adapter import HttpAnswer, HttpRequest

_SHOWN = 200  # characters of an exception
_SERVER_ERROR = 500

STOPPED = "stopped its process"


def cannot(adapter: str, about: str, method: str, why: str) -> str:
    """Return the whole line; `about` is what was to be translated."""
    return f"the adapter {adapter} cannot translate {about}: {method}() {why}"


def of_request(request: HttpRequest) -> str:
    """Return how a request is called."""
    return f"{request.method} {request.path}"


def of_answer(request: HttpRequest, answer: HttpAnswer) -> str:
    """Return how an answer is called."""
    return f"the answer to {of_request(request)} (status {answer.status})"


def of_message(message: Mapping[str, Any]) -> str:
    """Return how a WebSocket message is called."""
    return f"a WebSocket message of type {message.get('type')!r}"


def too_late(limit_s: float) -> str:
    """Return why a call was given up."""
    return f"did not return within {limit_s:g} s"


def raised(error: BaseException) -> str:
    """Return what an adapter raised."""
    return f"raised {' '.join(repr(error).split())[:_SHOWN]}"


def needs_no_translation(answer: HttpAnswer) -> bool:
    """Return whether an answer that an adapter does not know is judged as it came: a server error is one anywhere."""
    return answer.status >= _SERVER_ERROR
