"""The OpenAPI document, generated from the same table as the routes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gaia_server import __version__
from gaia_server.analytics import PERIODS
from gaia_server.http.admin_api import DEFAULT_MINUTES, MAX_MINUTES
from gaia_server.http.request_parsing import DEFAULT_PAGE, MAX_ID, MAX_OFFSET, MAX_PAGE, TEXT_PATTERN, USER_PATTERN
from gaia_server.http.user_fields import REASON_PATTERN
from gaia_server.limiting.limit_types import LIMIT_TYPES
from gaia_server.limiting.reputation import EVENT_KINDS, HIGHEST, LOWEST, TIERS
from gaia_server.limiting.rules import MAX_LIMIT, NAME_PATTERN, RESOURCE_TYPES, SCOPES, VALUE_PATTERN

_ID = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
_TIME = {"type": "string", "format": "date-time"}
_COUNT = {"type": "integer", "minimum": 0}
_TIME_OR_NULL = {"type": ["string", "null"], "format": "date-time"}
_RATIO = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_USER = {"type": "string", "pattern": f"^{USER_PATTERN}$"}
_SCORE = {"type": "integer", "minimum": LOWEST, "maximum": HIGHEST}
_TIER = {"type": "string", "enum": list(TIERS)}
_TEXT = {"type": "string", "pattern": f"^{TEXT_PATTERN}$"}
_RULE_FIELDS: dict[str, Any] = {
    "rule_name": {"type": "string", "pattern": NAME_PATTERN},
    "scope": {"type": "string", "enum": list(SCOPES)},
    "scope_value": {
        "type": ["string", "null"],
        "pattern": VALUE_PATTERN,
        "description": "null: every principal of the scope, each counted separately; ip: an address, or an IPv6 /64",
    },
    "limit_type": {"type": "string", "enum": list(LIMIT_TYPES)},
    "limit_value": {"type": "integer", "minimum": 0, "maximum": MAX_LIMIT},
    "resource_type": {"enum": [None, *RESOURCE_TYPES], "description": "null: every resource"},
    "enabled": {"type": "boolean", "default": True},
}


def _object(properties: Mapping[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }


def _list(item: str) -> dict[str, Any]:
    items = {"type": "array", "items": {"$ref": f"#/components/schemas/{item}"}}
    return _object({"items": items, "total": _COUNT, "limit": _COUNT, "offset": _COUNT})


_OF_RULE = {name: {k: v for k, v in _RULE_FIELDS[name].items() if k != "default"} for name in _RULE_FIELDS}
_COUNTED = {"admitted": _COUNT, "denied": _COUNT}
_EFFECTIVE = {**_COUNT, "description": "the limit after the user's tier is applied, if reputation is enabled"}
_DECIDED = {**_COUNTED, "denied_ratio": _RATIO}
_NUMBER = {"type": "number", "minimum": 0}


def _rule_of(scopes: list[str], scope_value: dict[str, Any]) -> dict[str, Any]:
    fields = {**_RULE_FIELDS, "scope": {"type": "string", "enum": scopes}, "scope_value": scope_value}
    return _object(fields, ["rule_name", "scope", "limit_type", "limit_value"])


_ADDRESS = {"anyOf": [{"type": "null"}, {"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]}

SCHEMAS: dict[str, Any] = {
    "RuleFields": {
        "anyOf": [
            _rule_of(["global"], {"type": "null"}),
            _rule_of(["ip"], _ADDRESS),
            _rule_of(["user", "session", "api_key"], _RULE_FIELDS["scope_value"]),
        ]
    },
    "Rule": _object({**_OF_RULE, "id": _ID, "created_at": _TIME, "updated_at": _TIME}),
    "Rules": _list("Rule"),
    "Preview": _object(
        {
            "rule_id": _ID,
            "limit_type": _OF_RULE["limit_type"],
            "limit_value": _OF_RULE["limit_value"],
            "clients": {**_COUNT, "description": "clients that the rule admitted requests of in their current window"},
            "clients_over": {**_COUNT, "description": "those of them that sent more than the limit"},
            "admitted": _COUNT,
            "refused_at_least": {**_COUNT, "description": "how many of the admitted requests it would have refused"},
        }
    ),
    "RuleImport": _object({"rules": {"type": "array", "items": {"$ref": "#/components/schemas/RuleFields"}}}),
    "RuleChanges": _object(
        {
            "created": {"type": "array", "items": _object(_OF_RULE)},
            "changed": {
                "type": "array",
                "items": _object({"before": {"$ref": "#/components/schemas/Rule"}, "after": _object(_OF_RULE)}),
            },
            "unchanged": _COUNT,
        }
    ),
    "Usage": _object(
        {
            "rule_id": _ID,
            **{k: _OF_RULE[k] for k in ("rule_name", "scope", "limit_type", "limit_value", "resource_type")},
            "effective_limit": _EFFECTIVE,
            "key": {"type": "string"},
            "used": _COUNT,
            "remaining": _COUNT,
            "resets_at": _TIME_OR_NULL,
        }
    ),
    "Usages": _list("Usage"),
    "Violation": _object(
        {
            "id": _ID,
            "rule_id": _ID,
            **{k: _OF_RULE[k] for k in ("rule_name", "scope", "limit_type", "limit_value")},
            "key": {"type": "string"},
            "resource_type": {"type": "string"},
            "occurred_at": {**_TIME, "description": "the second in which requests were refused"},
            "last_at": _TIME,
            "hits": {**_COUNT, "description": "number of requests refused in that second"},
        }
    ),
    "Violations": _list("Violation"),
    "ViolatingClient": _object(
        {"key": {"type": "string"}, "hits": _COUNT, "rules": _COUNT, "first_at": _TIME, "last_at": _TIME}
    ),
    "ViolatingClients": _list("ViolatingClient"),
    "Alert": _object(
        {
            "id": _ID,
            "name": {"type": "string"},
            "state": {"type": "string", "enum": ["firing", "resolved"]},
            "severity": {"type": "string"},
            "says": {"type": "string"},
            "threshold": _COUNT,
            "value": {**_COUNT, "description": "value when it fired"},
            "fired_at": _TIME,
            "resolved_value": {"type": ["integer", "null"], "minimum": 0, "description": "value when it was resolved"},
            "resolved_at": _TIME_OR_NULL,
        }
    ),
    "Alerts": _list("Alert"),
    "Analytics": _object(
        {
            "minutes": _COUNT,
            "per": {"type": "string", "enum": list(PERIODS)},
            "totals": _object(_DECIDED),
            "oldest": {**_TIME_OR_NULL, "description": "the first minute that there are statistics of"},
            "decisions": {"type": "array", "items": _object({"start": _TIME, **_DECIDED})},
            "by_resource": {"type": "array", "items": _object({"resource_type": {"type": "string"}, **_COUNTED})},
            "by_scope": {"type": "array", "items": _object({"scope": {"type": "string"}, **_COUNTED})},
            "by_rule": {
                "type": "array",
                "items": _object(
                    {
                        "rule_id": _ID,
                        "rule_name": _OF_RULE["rule_name"],
                        "hits": _COUNT,
                        "keys": _COUNT,
                        "last_at": _TIME,
                        "share": {"type": "number", "minimum": 0, "maximum": 1},
                    }
                ),
            },
            "top_keys": {
                "type": "array",
                "items": _object({"key": {"type": "string"}, "hits": _COUNT, "last_at": _TIME}),
            },
            "load": {
                "type": "array",
                "items": _object(
                    {
                        "start": _TIME,
                        "cpu_percent": _NUMBER,
                        "memory_bytes": _COUNT,
                        "requests_per_second": _NUMBER,
                        "websocket_clients": _COUNT,
                        "pool_in_use": _COUNT,
                    }
                ),
            },
        }
    ),
    "UserLimits": _object({"limits": _object(dict.fromkeys(LIMIT_TYPES, _OF_RULE["limit_value"]), [])}),
    "FullestLimit": _object(
        {
            "user": _USER,
            "rule_id": _ID,
            **{k: _OF_RULE[k] for k in ("rule_name", "limit_type", "limit_value")},
            "effective_limit": _EFFECTIVE,
            "used": _COUNT,
            "resets_at": _TIME_OR_NULL,
            "score": _SCORE,
            "tier": _TIER,
        }
    ),
    "Users": _list("FullestLimit"),
    "User": _object(
        {
            "user": _USER,
            "limits": {
                "type": "array",
                "items": _object(
                    {
                        "rule_id": _ID,
                        **{
                            k: _OF_RULE[k]
                            for k in ("rule_name", "limit_type", "resource_type", "limit_value", "enabled")
                        },
                        "own": {"type": "boolean", "description": "a rule of this user only"},
                        "effective_limit": _EFFECTIVE,
                        "used": _COUNT,
                        "remaining": _COUNT,
                        "resets_at": _TIME_OR_NULL,
                    }
                ),
            },
            "reputation": {"$ref": "#/components/schemas/Reputation"},
            "reputation_in_force": {"type": "boolean"},
        }
    ),
    "ReputationFields": _object(
        {
            "score": _SCORE,
            "vip": {"type": "boolean", "default": False},
            "reason": {"type": "string", "pattern": REASON_PATTERN},
        },
        ["score", "reason"],
    ),
    "Reputation": _object(
        {
            "user": _USER,
            "score": _SCORE,
            "tier": _TIER,
            "vip": {"type": "boolean"},
            "factor": {"type": "number", "description": "factor by which the tier multiplies the limits of user rules"},
            "clean_requests": {**_COUNT, "description": "since the last point earned"},
            "created_at": _TIME_OR_NULL,
            "updated_at": {
                **_TIME_OR_NULL,
                "description": "when the score last changed; weekly decay counts from this time",
            },
        }
    ),
    "Reputations": _list("Reputation"),
    "ReputationEvent": _object(
        {
            "id": _ID,
            "user": _USER,
            "kind": {"type": "string", "enum": list(EVENT_KINDS)},
            "severity": {"type": ["integer", "null"], "minimum": 1, "maximum": 3},
            "change": {"type": "integer", "minimum": -HIGHEST, "maximum": HIGHEST},
            "reason": {"type": ["string", "null"]},
            "occurred_at": _TIME,
        }
    ),
    "ReputationEvents": _list("ReputationEvent"),
    "Problem": _object(
        {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "errors": {
                "type": "array",
                "items": _object({"field": {"type": "string"}, "detail": {"type": "string"}}),
            },
        },
        ["type", "title", "status", "detail"],
    ),
    "Changed": _object(
        {
            **{name: {"type": "string"} for name in ("type", "title", "detail")},
            "status": {"const": 412},
            "current": {"type": "object", "description": "the value now"},
            "wanted": {"type": ["object", "null"], "description": "the refused value; null for DELETE"},
        }
    ),
    "Login": _object({"token": {"type": "string"}}),
    "Health": {"type": "object", "required": ["status", "version", "digest", "checks"]},
}

PARAMETERS: dict[str, dict[str, Any]] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE},
    "offset": {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0},
    "minutes": {"type": "integer", "minimum": 1, "maximum": MAX_MINUTES, "default": DEFAULT_MINUTES},
    "apply": {"type": "boolean", "default": False, "description": "whether to make the changes"},
    "limit_value": _OF_RULE["limit_value"],
    "confirm": {"type": "boolean", "default": False, "description": "whether a rule may refuse its own author"},
    "scope": {"type": "string", "enum": list(SCOPES)},
    "enabled": {"type": "boolean"},
    "rule_name": _TEXT,
    "search": {**_TEXT, "description": "a part of the name or of the value, in any case"},
    "rule_id": _ID,
    "key": _TEXT,
    "since": _TIME,
    "until": _TIME,
    "state": {"type": "string", "enum": ["firing", "resolved"]},
    "per": {"type": "string", "enum": list(PERIODS), "default": "minute"},
    "user": _USER,
    "kind": {"type": "string", "enum": list(EVENT_KINDS)},
    "tier": _TIER,
    "min_score": _SCORE,
    "max_score": _SCORE,
}
_IN_PATH = {"id": _ID, "user": _USER}


@dataclass(frozen=True, slots=True)
class Operation:
    """The documentation of one method of one path."""

    summary: str
    answers: Mapping[int, str | None]  # status -> schema of its JSON body, None for no body
    parameters: tuple[str, ...] = ()
    body: str | None = None
    admin: bool = False
    limited: bool = False
    media_type: str = "application/json"
    sorts: tuple[str, ...] = ()  # what the list can be sorted by


_REASONS = {
    400: "The body is not JSON",
    401: "The admin token is required",
    403: "The server has no admin token, or a cross-origin request",
    404: "Not found",
    408: "The body did not arrive in time",
    409: "The name is taken, or the rule would refuse its own author (`confirm`)",
    412: "Changed since the version that `If-Match` names",
    413: "The body is too large",
    415: "The body must be application/json, and not compressed",
    422: "The request is invalid; `errors` lists the fields",
    429: "A rule refuses the request, or the address sent too many wrong tokens; retry after `Retry-After` seconds",
    503: "The database does not answer",
}


def document(operations: Mapping[tuple[str, str], Operation]) -> dict[str, Any]:
    """Return the document for operations keyed by (path, method)."""
    paths: dict[str, Any] = {}
    for (path, method), operation in operations.items():
        paths.setdefault(path, {})[method.lower()] = _operation(path, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "gaia_server", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "gaia_session"},
            },
        },
    }


def problems(operation: Operation) -> set[int]:
    """Return the statuses that are answered with problem details."""
    found = {422} if operation.parameters or operation.limited else set()
    found |= {400, 408, 413, 415, 422} if operation.body else set()
    found |= {401, 403} if operation.admin else set()
    found |= {429, 503} if operation.limited else set()
    return found


def _operation(path: str, operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {"summary": operation.summary}
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "query", "schema": PARAMETERS[name]} for name in operation.parameters
    ]
    if operation.sorts:
        parameters.append({"name": "sort", "in": "query", "schema": {"type": "string", "enum": list(operation.sorts)}})
    parameters += [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in _IN_PATH.items()
        if f"{{{name}}}" in path
    ]
    if parameters:
        found["parameters"] = parameters
    if operation.body:
        found["requestBody"] = {"required": True, "content": _content("application/json", operation.body)}
    if operation.admin:
        found["security"] = [{"token": []}, {"session": []}]
    found["responses"] = {
        str(status): _answer(status, schema, operation) for status, schema in operation.answers.items()
    }
    for status in sorted(problems(operation) - set(operation.answers)):
        found["responses"][str(status)] = _answer(status, "Problem", operation)
    return found


def _answer(status: int, schema: str | None, operation: Operation) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": _REASONS.get(status, operation.summary)}
    media_type = "application/problem+json" if schema in ("Problem", "Changed") else operation.media_type
    if schema in ("Rule", "User", "Changed"):
        answer["headers"] = {"ETag": {"description": "version, for `If-Match`", "schema": {"type": "string"}}}
    if schema:
        answer["content"] = _content(media_type, schema)
    elif operation.media_type != "application/json":
        answer["content"] = {operation.media_type: {}}
    return answer


def _content(media_type: str, schema: str) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
