"""Validation of what clients send by its definition, with errors in people's words."""

from functools import cache
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from gaia_server.field_types import Words
from gaia_server.problem import Problem

Defined = TypeVar("Defined")

_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")
_DETAILS = {
    "dataclass_type": "is not a JSON object",
    "model_type": "is not a JSON object",
    "dict_type": "is not a JSON object",
    "string_unicode": "has a field whose name is no Unicode text",
}


def valid(definition: type[Defined], given: Any, otherwise: str) -> Defined:
    """Return `given` as an instance of its definition.

    Raises Problem 422 with the detail `otherwise` and every invalid, missing or unknown field.
    """
    validator: TypeAdapter[Defined] = adapter(definition)  # type: ignore[arg-type]  # a class is hashable
    try:
        return validator.validate_python(given)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise Problem(422, otherwise, errors=[_field_error(definition, one) for one in found]) from None


@cache
def adapter(definition: Any) -> TypeAdapter[Any]:
    """Return what validates by a definition, and describes it."""
    return TypeAdapter(definition)


def _field_error(definition: type, error: ErrorDetails) -> dict[str, str]:
    path = [str(part)[:100] for part in error["loc"] if part != "[key]"]
    return {"field": ".".join(path), "detail": _detail(definition, error, path)}


def _detail(definition: type, error: ErrorDetails, path: list[str]) -> str:
    fields = get_type_hints(definition, include_extras=True)
    if error["type"] == "missing":
        words = [one.words for one in getattr(fields[path[0]], "__metadata__", ()) if isinstance(one, Words)]
        return f"is missing; give {words[0]}" if words else "is missing"
    if error["type"] in _UNKNOWN:
        return f"is not known; known: {', '.join(fields)}"
    return _DETAILS.get(error["type"], error["msg"])
