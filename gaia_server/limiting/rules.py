"""Rules: what they are, and what of a request body may become one. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gaia_server.limiting import address

SCOPES = ("global", "ip", "user", "session", "api_key")
LIMIT_TYPES = (
    "requests_per_second",
    "requests_per_minute",
    "requests_per_hour",
    "daily_quota",
    "weekly_quota",
    "monthly_quota",
)
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
"""What the server's own routes count as; a rule may name one of them."""

MAX_LIMIT = 1_000_000_000
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9 ._:/@-]{0,99}$"
VALUE_PATTERN = r"^[!-~]{1,200}$"

_NAME = re.compile(NAME_PATTERN.rstrip("$"))
_VALUE = re.compile(VALUE_PATTERN.rstrip("$"))


@dataclass(frozen=True, slots=True)
class RuleFields:
    """What a client says about a rule."""

    rule_name: str
    scope: str
    scope_value: str | None
    limit_type: str
    limit_value: int
    resource_type: str | None
    enabled: bool


@dataclass(frozen=True, slots=True)
class Rule(RuleFields):
    """A rule as it is stored."""

    id: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with a body: where, and what to write instead."""

    field: str
    detail: str


class InvalidFields(Exception):
    """A body that is not what it should be, with everything that is wrong with it."""

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
    errors += [error for name in RuleFields.__dataclass_fields__ if (error := _wrong(name, body))]
    if not errors and (error := _wrong_scope_value(body)):
        errors.append(error)
    if errors:
        raise InvalidFields(errors)
    return RuleFields(
        rule_name=body["rule_name"],
        scope=body["scope"],
        scope_value=_normal_value(body["scope"], body.get("scope_value")),
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


def _wrong(name: str, body: Mapping[str, Any]) -> FieldError | None:
    if name not in body:
        return FieldError(name, f"is missing; give {_EXPECTED[name]}") if name in _REQUIRED else None
    return None if _fits(name, body[name]) else FieldError(name, f"is not {_EXPECTED[name]}")


def _fits(name: str, value: Any) -> bool:
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
            # as JSON Schema has it, 5.0 is an integer; the bound comes first, infinity has no int()
            return type(value) in (int, float) and 0 <= value <= MAX_LIMIT and value == int(value)
        case "resource_type":
            return value is None or value in RESOURCE_TYPES
        case _:
            return isinstance(value, bool)


def _wrong_scope_value(body: Mapping[str, Any]) -> FieldError | None:
    """What is wrong with a scope_value that would be right for another scope."""
    value = body.get("scope_value")
    if value is None:
        return None
    if body["scope"] == "global":
        return FieldError("scope_value", "is not null, as the scope global needs")
    if body["scope"] == "ip" and address.counted_text(value) is None:
        return FieldError("scope_value", "is not an IP address, as the scope ip needs")
    return None


def _normal_value(scope: str, value: str | None) -> str | None:
    return address.counted_text(value) if value is not None and scope == "ip" else value
