"""The OpenAPI document, generated from the table of the routes and the definitions that it names. Pure."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema
from starlette.requests import Request
from starlette.responses import Response

from gaia_server import __version__
from gaia_server.field_types import Key
from gaia_server.http.definitions.answers import Changed, ProblemDetails, RuleChanges, User
from gaia_server.http.definitions.parameters import RULE_ID
from gaia_server.http.validation import adapter
from gaia_server.limiting.rules import Rule
from gaia_server.push.alerts import AlertRule

Handler = Callable[[Request], Awaitable[Response]]

_IN_PATH = {"id": RULE_ID, "user": Key}
_REASONS = {
    400: "The body is not JSON",
    401: "The admin token is required",
    403: "The server has no admin token, or a cross-origin request",
    404: "Not found",
    408: "The body did not arrive in time",
    409: "It contradicts itself or what is stored, or the rule would refuse its own author (`confirm`)",
    412: "Changed since the version that `If-Match` names",
    413: "The body is too large",
    415: "The body must be application/json, and not compressed",
    422: "The request is invalid; `errors` lists the fields",
    429: "A rule refuses the request, or the address sent too many wrong tokens; retry after `Retry-After` seconds",
    503: "The database does not answer",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. The first line of its handler's docstring is its summary."""

    method: str
    path: str
    handler: Handler
    answers: Mapping[int, Any]  # status -> definition of its JSON body, None for no body
    refusals: tuple[int, ...] = ()  # statuses beside those of every such operation
    parameters: type | None = None
    body: type | None = None
    admin: bool = False
    limited: bool = False
    media_type: str = "application/json"

    @property
    def documented(self) -> dict[int, Any]:
        """All its answers: status -> definition of its JSON body, None for no body."""
        refusals = {*self.refusals}
        refusals |= {422} if self.parameters or self.limited else set()
        refusals |= {400, 408, 413, 415, 422} if self.body else set()
        refusals |= {401, 403} if self.admin else set()
        refusals |= {429, 503} if self.limited else set()
        refused = {status: Changed if status == 412 else ProblemDetails for status in sorted(refusals)}
        return {**refused, **self.answers}

    @property
    def summary(self) -> str:
        """What it does, in one line."""
        return (self.handler.__doc__ or "").partition("\n")[0].rstrip(".")


class _Schemas(GenerateJsonSchema):
    """Schemas of bodies and answers: without titles, and objects have no other fields."""

    def field_title_should_be_set(self, _schema: Any) -> bool:
        return False

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        return {**super().typed_dict_schema(schema), "additionalProperties": False}


class _OfParameters(_Schemas):
    """Schemas of query parameters: absent is None, but no parameter can be null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        found = super().default_schema(schema)
        return found if found.get("default") is not None else self.generate_inner(schema["schema"])


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the document."""
    used: dict[tuple[Any, Any], None] = {}
    for operation in operations:
        used |= dict.fromkeys((found, "serialization") for found in operation.documented.values() if found)
        used |= {(operation.body, "validation"): None} if operation.body else {}
    schemas, shared = TypeAdapter.json_schemas(
        [(definition, mode, adapter(definition)) for definition, mode in used],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Schemas,
    )
    references = {definition: schema for (definition, _), schema in schemas.items()}
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, references)
    return {
        "openapi": "3.1.0",
        "info": {"title": "gaia_server", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": shared["$defs"],
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "gaia_session"},
            },
        },
    }


def _operation(operation: Operation, references: Mapping[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"summary": operation.summary}
    if parameters := [*_query(operation.parameters), *_path(operation.path)]:
        found["parameters"] = parameters
    if operation.body:
        content = {"application/json": {"schema": references[operation.body]}}
        found["requestBody"] = {"required": True, "content": content}
    if operation.admin:
        found["security"] = [{"token": []}, {"session": []}]
    found["responses"] = {
        str(status): _answer(status, definition, operation, references)
        for status, definition in operation.documented.items()
    }
    return found


def _query(definition: type | None) -> list[dict[str, Any]]:
    if definition is None:
        return []
    properties = adapter(definition).json_schema(schema_generator=_OfParameters)["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]


def _path(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": adapter(definition).json_schema()}
        for name, definition in _IN_PATH.items()
        if f"{{{name}}}" in path
    ]


def _answer(status: int, definition: Any, operation: Operation, references: Mapping[Any, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": _REASONS.get(status, operation.summary)}
    media_type = "application/problem+json" if definition in (ProblemDetails, Changed) else operation.media_type
    if definition in (Rule, RuleChanges, User, AlertRule, Changed):
        answer["headers"] = {"ETag": {"description": "version, for `If-Match`", "schema": {"type": "string"}}}
    if definition:
        answer["content"] = {media_type: {"schema": references[definition]}}
    elif operation.media_type != "application/json":
        answer["content"] = {operation.media_type: {}}
    return answer
