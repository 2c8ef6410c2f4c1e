"""The OpenAPI document, generated from the same table as the routes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gaia_server import __version__
from gaia_server.analytics import PERIODS
from gaia_server.http.admin_api import DEFAULT_MINUTES, MAX_MINUTES
from gaia_server.http.alert_fields import BY_PATTERN, MAX_FOR_S, MAX_MUTE_S, MAX_THRESHOLD
from gaia_server.http.request_parsing import DEFAULT_PAGE, MAX_ID, MAX_OFFSET, MAX_PAGE, TEXT_PATTERN, USER_PATTERN
from gaia_server.http.user_fields import REASON_PATTERN
from gaia_server.limiting.limit_types import LIMIT_TYPES
from gaia_server.limiting.reputation import EVENT_KINDS, HIGHEST, LOWEST, TIERS
from gaia_server.limiting.rules import MAX_LIMIT, NAME_PATTERN, RESOURCE_TYPES, SCOPES, VALUE_PATTERN
from gaia_server.push.alerts import METRICS, OF_RULES, SEVERITIES

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


_THRESHOLD = {"type": "integer", "minimum": 0, "maximum": MAX_THRESHOLD}
_ALERT_RULE_FIELDS: dict[str, Any] = {
    "name": {"type": "string", "pattern": NAME_PATTERN},
    "metric": {"type": "string", "enum": list(METRICS)},
    "rule_id": {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_ID, "description": "a rate limit rule's id"},
    "threshold": {**_THRESHOLD, "description": "fires above it"},
    "clear_threshold": {
        **_THRESHOLD,
        "type": ["integer", "null"],
        "description": "resolves at or below it; null: at or below the threshold",
    },
    "for_s": {
        "type": "integer",
        "minimum": 0,
        "maximum": MAX_FOR_S,
        "default": 0,
        "description": "seconds above the threshold before it fires",
    },
    "severity": {"type": "string", "enum": list(SEVERITIES), "default": "warning"},
    "enabled": {"type": "boolean", "default": True},
}
_OF_ALERT_RULE = {
    **{name: {k: v for k, v in _ALERT_RULE_FIELDS[name].items() if k != "default"} for name in _ALERT_RULE_FIELDS},
    "clear_threshold": _THRESHOLD,
}


def _alert_rule_of(metrics: list[str], rule_id: dict[str, Any]) -> dict[str, Any]:
    fields = {**_ALERT_RULE_FIELDS, "metric": {"type": "string", "enum": metrics}, "rule_id": rule_id}
    return _object(fields, ["name", "metric", "threshold"])


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
            "acknowledged_at": _TIME_OR_NULL,
            "acknowledged_by": {"type": ["string", "null"]},
            "notification": {"enum": [None, "pending", "sent", "failed"]},
            "notification_failure": {"type": ["string", "null"]},
        }
    ),
    "Alerts": _list("Alert"),
    "AlertRuleFields": {
        "anyOf": [
            _alert_rule_of(list(OF_RULES), _ALERT_RULE_FIELDS["rule_id"]),
            _alert_rule_of([name for name in METRICS if name not in OF_RULES], {"type": "null"}),
        ]
    },
    "AlertRule": _object(
        {
            **_OF_ALERT_RULE,
            "id": _ID,
            "rule_name": {"type": ["string", "null"]},
            "says": {"type": "string", "description": "when it fires, in words"},
            "muted_until": _TIME_OR_NULL,
            "pending_since": {**_TIME_OR_NULL, "description": "above the threshold, but not yet for `for_s`"},
            "created_at": _TIME,
            "updated_at": _TIME,
        }
    ),
    "AlertRules": _list("AlertRule"),
    "Acknowledgement": _object({"by": {"type": "string", "pattern": BY_PATTERN}}),
    "Mute": _object({"for_s": {"type": "integer", "minimum": 0, "maximum": MAX_MUTE_S}}),
    "Analytics": _object(
        {
            "minutes": _COUNT,
            "per": {"type": "string", "enum": list(PERIODS)},
            "totals": _object(_DECIDED),
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


_REASONS = {
    400: "The body is not JSON",
    401: "The admin token is required",
    403: "The server has no admin token, or a cross-origin request",
    404: "Not found",
    408: "The body did not arrive in time",
    409: "In conflict with another rule or with itself, or it would refuse its own author (`confirm`)",
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
    if schema in ("Rule", "User", "AlertRule", "Changed"):
        answer["headers"] = {"ETag": {"description": "version, for `If-Match`", "schema": {"type": "string"}}}
    if schema:
        answer["content"] = _content(media_type, schema)
    elif operation.media_type != "application/json":
        answer["content"] = {operation.media_type: {}}
    return answer


def _content(media_type: str, schema: str) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
