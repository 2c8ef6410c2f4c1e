"""What protects one administrator's change from another's, and an administrator from their own.

`If-Match` names the version that a change is based on. A rule that would refuse its own author needs `?confirm=true`.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from starlette.requests import Request

from gaia_server.encoding import encode
from gaia_server.http.definitions.parameters import Confirmation
from gaia_server.http.request_parsing import query
from gaia_server.limiting import management
from gaia_server.limiting.principals import Principal
from gaia_server.limiting.rules import RuleFields
from gaia_server.problem import Problem

REFUSES_AUTHOR = "urn:gaia-server:refuses-its-author"


def etag(state: Any) -> str:
    """Return the version of what a PUT replaces, as a strong entity tag."""
    return f'"{hashlib.sha256(encode(state).encode()).hexdigest()[:32]}"'


def matches(request: Request, current: str) -> bool:
    """Whether `If-Match`, if there is one, names the current version."""
    given = _versions(request)
    return given is None or current in given


def expected(request: Request, updated_at: datetime) -> datetime | None:
    """Return when the row must have been changed last when it is written; None if any version will do."""
    return None if _versions(request) is None else updated_at


def _versions(request: Request) -> list[str] | None:
    """Return the versions that `If-Match` names; None for any: without it, or with `*`."""
    given = request.headers.get("if-match", "*").strip()
    return None if given == "*" else [one.strip() for one in given.split(",")]


def changed(current: Any, wanted: Any, version: str) -> Problem:
    """Return the refusal of a change that is based on another version than `current`."""
    return Problem(
        412,
        "it was changed since it was read; `current` is its value now, `wanted` the refused one",
        headers={"ETag": version},
        more={"current": current, "wanted": wanted},
    )


def is_confirmed(request: Request) -> bool:
    """Whether the query says that a rule may refuse its author. Raises Problem 422."""
    return query(request, Confirmation).confirm


def require_confirmation(principal: Principal, rules: Iterable[tuple[RuleFields, int]]) -> None:
    """Raise Problem 409 if one of (rule, requests counted so far) would refuse its author."""
    if refused := management.refused(principal, rules):
        limits = ", ".join(f"{rule.limit_value} {rule.limit_type}" for rule in refused)
        raise Problem(
            409,
            f"{limits} would refuse your own requests ({principal.key}); set it all the same with ?confirm=true",
            type_=REFUSES_AUTHOR,
        )
