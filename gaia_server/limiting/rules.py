"""Rules: each field is defined here, for validation, error details and the OpenAPI document. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError

from gaia_server.field_types import Conditional, Id, Key, Switch, Words, one_of, whole
from gaia_server.limiting import address
from gaia_server.limiting.limit_types import LimitTypeName

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

RuleName = Annotated[
    str,
    Field(pattern=NAME_PATTERN),
    Words("1 to 100 letters, digits, spaces or ._:/@-, beginning with a letter or digit"),
]
Scope = Annotated[str, one_of(SCOPES)]
LimitValue = Annotated[int, whole(0, MAX_LIMIT)]
ResourceType = Annotated[
    Annotated[str, one_of(RESOURCE_TYPES)] | None,
    Words(f"null (every resource), or one of {', '.join(RESOURCE_TYPES)}"),
]


def _counted(value: str | None, info: ValidationInfo) -> str | None:
    """Return a scope_value in the form that limits count by. Raises PydanticCustomError if it is of another scope."""
    match info.data.get("scope"), value:
        case "global", str():
            raise PydanticCustomError("value", "must be null for the scope global")
        case "ip", str(text):
            if (value := address.counted_text(text)) is None:
                raise PydanticCustomError("value", "must be an IP address for the scope ip")
    return value


ScopeValue = Annotated[
    Key | None,
    Words(
        "null (every principal of the scope, each counted separately), "
        "or 1 to 200 printable ASCII characters without spaces"
    ),
]
_BY_SCOPE: JsonSchemaValue = {
    "anyOf": [
        {"properties": {"scope": {"enum": ["global"]}, "scope_value": {"type": "null"}}},
        {
            "properties": {
                "scope": {"enum": ["ip"]},
                "scope_value": {"anyOf": [{"type": "null"}, {"format": "ipv4"}, {"format": "ipv6"}]},
            }
        },
        {"properties": {"scope": {"enum": ["user", "session", "api_key"]}}},
    ]
}
"""What `_counted` takes, as JSON Schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFields(Conditional):
    """The fields of a rule that a client sets."""

    __pydantic_config__ = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)
    rule_name: RuleName
    scope: Scope
    scope_value: Annotated[ScopeValue, AfterValidator(_counted)] = None
    limit_type: LimitTypeName
    limit_value: LimitValue
    resource_type: ResourceType = None
    enabled: Switch = True
    conditions: ClassVar[JsonSchemaValue] = _BY_SCOPE  # not of a stored rule, whose scope_value may be a network


COUNTED_BY = ("scope", "scope_value", "limit_type", "resource_type")
"""The fields whose change starts a rule's counts anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(RuleFields):
    """A stored rule."""

    id: Id
    created_at: datetime
    updated_at: datetime
