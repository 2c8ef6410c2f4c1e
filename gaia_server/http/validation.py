"""Validation of what clients send by its definition, with errors in people's words."""

from functools import cache
from typing import Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints

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
    if error["type"] == "missing":
        field = _fields(definition, path)[path[-1]]
        words = [one.words for one in getattr(field, "__metadata__", ()) if isinstance(one, Words)]
        return f"is missing; give {words[0]}" if words else "is missing"
    if error["type"] in _UNKNOWN:
        return f"is not known; known: {', '.join(_fields(definition, path))}"
    return _DETAILS.get(error["type"], error["msg"])


def _fields(definition: type, path: list[str]) -> dict[str, Any]:
    """Return the types of the fields of the object that has the last field of a path."""
    fields = _types(definition)
    for name in path[:-1]:
        if name in fields:  # else an index
            (item,) = get_args(fields[name])
            fields = _types(item)
    return fields


@cache  # a body can have thousands of errors
def _types(definition: type) -> dict[str, Any]:
    hints = get_type_hints(definition, include_extras=True)
    return {name: hint for name, hint in hints.items() if get_origin(hint) is not ClassVar}
