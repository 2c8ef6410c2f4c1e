"""Rules, and their validation from request bodies. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gaia_server.limiting import address
from gaia_server.limiting.limit_types import LIMIT_TYPES

SCOPES = ("global", "ip", "user", "session", "api_key")
RESOURCE_TYPES = (
    "config",
    "usage",
    "violations",
    "analytics",
    "users",
    "reputation",
    "reputation-events",
    "alerts",
    "login",
    "other",
)
"""The resource types of the server's own routes; a rule may name one of them."""

MAX_LIMIT = 1_000_000_000
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9 ._:/@-]{0,99}$"
VALUE_PATTERN = r"^[!-~]{1,200}$"

_NAME = re.compile(NAME_PATTERN.rstrip("$"))
_VALUE = re.compile(VALUE_PATTERN.rstrip("$"))


@dataclass(frozen=True, slots=True)
class RuleFields:
    """The fields of a rule that a client sets."""

    rule_name: str
    scope: str
    scope_value: str | None
    limit_type: str
    limit_value: int
    resource_type: str | None
    enabled: bool


COUNTED_BY = ("scope", "scope_value", "limit_type", "resource_type")
"""The fields whose change starts a rule's counts anew."""


@dataclass(frozen=True, slots=True)
class Rule(RuleFields):
    """A stored rule."""

    id: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class FieldError:
    """One error in a request body: the field, and what it must contain."""

    field: str
    detail: str


class InvalidFields(Exception):
    """An invalid request body, with all its errors."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field}: {error.detail}" for error in errors))
        self.errors = tuple(errors)


def parse(body: Any) -> RuleFields:
    """Return the rule that a JSON body describes. Raises InvalidFields."""
    if not isinstance(body, dict):
        raise InvalidFields([FieldError("", "is not a JSON object")])
    errors = [
        FieldError(name[:100], "is not a field of a rule")
        for name in body
        if name not in RuleFields.__dataclass_fields__
    ]
    errors += [error for name in RuleFields.__dataclass_fields__ if (error := _field_error(name, body))]
    if not errors and (error := _scope_value_error(body)):
        errors.append(error)
    if errors:
        raise InvalidFields(errors)
    return RuleFields(
        rule_name=body["rule_name"],
        scope=body["scope"],
        scope_value=_normalized_value(body["scope"], body.get("scope_value")),
        limit_type=body["limit_type"],
        limit_value=int(body["limit_value"]),
        resource_type=body.get("resource_type"),
        enabled=body.get("enabled", True),
    )


_REQUIRED = ("rule_name", "scope", "limit_type", "limit_value")
_EXPECTED = {
    "rule_name": "1 to 100 letters, digits, spaces or ._:/@-, beginning with a letter or digit",
    "scope": f"one of {', '.join(SCOPES)}",
    "scope_value": "null, or 1 to 200 printable ASCII characters without spaces",
    "limit_type": f"one of {', '.join(LIMIT_TYPES)}",
    "limit_value": f"a whole number from 0 to {MAX_LIMIT}",
    "resource_type": f"null, or one of {', '.join(RESOURCE_TYPES)}",
    "enabled": "true or false",
}


def _field_error(name: str, body: Mapping[str, Any]) -> FieldError | None:
    if name not in body:
        return FieldError(name, f"is missing; give {_EXPECTED[name]}") if name in _REQUIRED else None
    return None if _is_valid(name, body[name]) else FieldError(name, f"is not {_EXPECTED[name]}")


def _is_valid(name: str, value: Any) -> bool:
    match name:
        case "rule_name":
            return isinstance(value, str) and _NAME.fullmatch(value) is not None
        case "scope":
            return value in SCOPES
        case "scope_value":
            return value is None or (isinstance(value, str) and _VALUE.fullmatch(value) is not None)
        case "limit_type":
            return value in LIMIT_TYPES
        case "limit_value":
            # 5.0 is an integer in JSON Schema; the bound is checked first, because int() fails on infinity
            return type(value) in (int, float) and 0 <= value <= MAX_LIMIT and value == int(value)
        case "resource_type":
            return value is None or value in RESOURCE_TYPES
        case _:
            return isinstance(value, bool)


def _scope_value_error(body: Mapping[str, Any]) -> FieldError | None:
    """Return the error of a scope_value that is valid for another scope only."""
    value = body.get("scope_value")
    if value is None:
        return None
    if body["scope"] == "global":
        return FieldError("scope_value", "must be null for the scope global")
    if body["scope"] == "ip" and address.counted_text(value) is None:
        return FieldError("scope_value", "must be an IP address for the scope ip")
    return None


def _normalized_value(scope: str, value: str | None) -> str | None:
    return address.counted_text(value) if value is not None and scope == "ip" else value
