"""Validation of a user's limits and reputation from request bodies. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gaia_server.limiting.limit_types import LIMIT_TYPES
from gaia_server.limiting.reputation import HIGHEST, LOWEST
from gaia_server.limiting.rules import MAX_LIMIT, FieldError, InvalidFields

REASON_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]{1,200}$"
"""No control characters."""

_REASON = re.compile(REASON_PATTERN.rstrip("$"))


@dataclass(frozen=True, slots=True)
class ReputationFields:
    """The fields of a reputation that a client sets."""

    score: int
    vip: bool
    reason: str


def parse_limits(body: Any) -> dict[str, int]:
    """Return limit type -> value from `{"limits": {...}}`. Raises InvalidFields."""
    given = _object(body, ("limits",)).get("limits")
    if not isinstance(given, dict):
        raise InvalidFields([FieldError("limits", "is not an object of limit types and their values")])
    errors = [FieldError(f"limits.{name[:100]}", "is not a limit type") for name in given if name not in LIMIT_TYPES]
    errors += [
        FieldError(f"limits.{name}", f"is not a whole number from 0 to {MAX_LIMIT}")
        for name, value in given.items()
        if name in LIMIT_TYPES and not is_whole(value, MAX_LIMIT)
    ]
    if errors:
        raise InvalidFields(errors)
    return {name: int(value) for name, value in given.items()}


def parse_reputation(body: Any) -> ReputationFields:
    """Return the reputation that a JSON body describes. Raises InvalidFields."""
    given = _object(body, ("score", "vip", "reason"))
    errors = []
    if not is_whole(given.get("score"), HIGHEST):
        errors.append(FieldError("score", f"is not a whole number from {LOWEST} to {HIGHEST}"))
    if not isinstance(given.get("vip", False), bool):
        errors.append(FieldError("vip", "is not true or false"))
    reason = given.get("reason")
    if not (isinstance(reason, str) and _REASON.fullmatch(reason) and _is_unicode(reason)):
        errors.append(FieldError("reason", "must be 1 to 200 characters without control characters"))
    if errors:
        raise InvalidFields(errors)
    return ReputationFields(int(given["score"]), given.get("vip", False), given["reason"])


def is_whole(value: Any, highest: int) -> bool:
    """Whether a JSON value is a whole number from 0 to `highest`; 5.0 is one, as in JSON Schema."""
    # the bound is checked first, because int() fails on infinity
    return type(value) in (int, float) and 0 <= value <= highest and value == int(value)


def _is_unicode(text: str) -> bool:
    """Whether it can be stored: JSON can contain half of a surrogate pair, which is no character."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _object(body: Any, known: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise InvalidFields([FieldError("", "is not a JSON object")])
    if errors := [FieldError(name[:100], "is not a known field") for name in body if name not in known]:
        raise InvalidFields(errors)
    return body
