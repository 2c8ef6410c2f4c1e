"""The bodies of responses, but for a stored rule (`limiting.rules`): rows of the database are sent as they are."""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, NotRequired, TypeVar

from pydantic import Field
from typing_extensions import TypedDict

from gaia_server.analytics import PERIODS
from gaia_server.field_types import Count, Id, Key, Ratio, one_of
from gaia_server.limiting.limit_types import LimitTypeName
from gaia_server.limiting.reputation import HIGHEST, EventKind, Score, Tier
from gaia_server.limiting.rules import LimitValue, ResourceType, Rule, RuleFields, RuleName, Scope
from gaia_server.push.alerts import Severity

Item = TypeVar("Item")

Effective = Annotated[Count, Field(description="the limit after the user's tier is applied, if reputation is enabled")]
Amount = Annotated[float, Field(ge=0)]
Factor = Annotated[float, Field(description="factor by which the tier multiplies the limits of user rules")]


class ListOf(TypedDict, Generic[Item]):
    """A part of a list; `total` is counted up to 10,000."""

    items: list[Item]
    total: Count
    limit: Count
    offset: Count


class Preview(TypedDict):
    """What another limit would have refused."""

    rule_id: Id
    limit_type: LimitTypeName
    limit_value: LimitValue
    clients: Annotated[Count, Field(description="clients that the rule admitted requests of in their current window")]
    clients_over: Annotated[Count, Field(description="those of them that sent more than the limit")]
    admitted: Count
    refused_at_least: Annotated[Count, Field(description="how many of the admitted requests it would have refused")]


class ChangedRule(TypedDict):
    """A rule before and after an import."""

    before: Rule
    after: RuleFields


class RuleChanges(TypedDict):
    """What an import changes."""

    created: list[RuleFields]
    changed: list[ChangedRule]
    unchanged: Count


class Usage(TypedDict):
    """The use of one limit by one key."""

    rule_id: Id
    rule_name: RuleName
    scope: Scope
    limit_type: LimitTypeName
    limit_value: LimitValue
    resource_type: ResourceType
    effective_limit: Effective
    key: str
    used: Count
    remaining: Count
    resets_at: datetime | None


class RefusedRequests(TypedDict):
    """The requests of one key that one rule refused in one second."""

    id: Id
    rule_id: Id
    rule_name: RuleName
    scope: Scope
    limit_type: LimitTypeName
    limit_value: LimitValue
    key: str
    resource_type: str
    occurred_at: Annotated[datetime, Field(description="the second in which requests were refused")]
    last_at: datetime
    hits: Annotated[Count, Field(description="number of requests refused in that second")]


class ViolatingClient(TypedDict):
    """The refused requests of one key."""

    key: str
    hits: Count
    rules: Count
    first_at: datetime
    last_at: datetime


class Alert(TypedDict):
    """An alert, from firing to resolving."""

    id: Id
    name: str
    state: Literal["firing", "resolved"]
    severity: Severity
    says: str
    threshold: Count
    value: Annotated[Count, Field(description="value when it fired")]
    fired_at: datetime
    resolved_value: Annotated[Count | None, Field(description="value when it was resolved")]
    resolved_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    notification: Annotated[
        Literal["pending", "sent", "failed"] | None,
        Field(description="of all notifications: the worst; null: there are none"),
    ]
    notification_failure: str | None


class Counted(TypedDict):
    """Counted decisions."""

    admitted: Count
    denied: Count


class Decided(Counted):
    """Counted decisions, and the part that was refused: null without decisions."""

    denied_ratio: Ratio | None


class DecidedFrom(Decided):
    """The decisions of one period."""

    start: datetime


class ByResource(Counted):
    """The decisions about one resource."""

    resource_type: str


class ByScope(Counted):
    """The decisions by rules of one scope."""

    scope: str


class ByRule(TypedDict):
    """The refusals by one rule."""

    rule_id: Id
    rule_name: RuleName
    hits: Count
    keys: Count
    last_at: datetime
    share: Ratio


class ByKey(TypedDict):
    """The refusals of one key."""

    key: str
    hits: Count
    last_at: datetime


class Load(TypedDict):
    """The load of all processes in one period."""

    start: datetime
    cpu_percent: Amount
    memory_bytes: Count
    requests_per_second: Amount
    websocket_clients: Count
    pool_in_use: Count


class Analytics(TypedDict):
    """Decisions, violations and load of the last minutes."""

    minutes: Count
    per: Annotated[str, one_of(PERIODS)]
    totals: Decided
    oldest: Annotated[datetime | None, Field(description="the first minute that there are statistics of")]
    decisions: list[DecidedFrom]
    by_resource: list[ByResource]
    by_scope: list[ByScope]
    by_rule: list[ByRule]
    top_keys: list[ByKey]
    load: list[Load]


class FullestLimit(TypedDict):
    """The most used limit of a user."""

    user: Key
    rule_id: Id
    rule_name: RuleName
    limit_type: LimitTypeName
    limit_value: LimitValue
    effective_limit: Effective
    used: Count
    resets_at: datetime | None
    score: Score
    tier: Tier


class UserLimit(TypedDict):
    """A limit that applies to a user."""

    rule_id: Id
    rule_name: RuleName
    limit_type: LimitTypeName
    resource_type: ResourceType
    limit_value: LimitValue
    enabled: bool
    own: Annotated[bool, Field(description="a rule of this user only")]
    effective_limit: Effective
    used: Count
    remaining: Count
    resets_at: datetime | None


class UserReputation(TypedDict):
    """A user's score and tier."""

    user: Key
    score: Score
    tier: Tier
    vip: bool
    factor: Factor
    clean_requests: Annotated[Count, Field(description="since the last point earned")]
    created_at: datetime | None
    updated_at: Annotated[
        datetime | None, Field(description="when the score last changed; weekly decay counts from this time")
    ]


class User(TypedDict):
    """The limits that apply to a user, the use of each, and the reputation."""

    user: Key
    limits: list[UserLimit]
    reputation: UserReputation
    reputation_in_force: bool


class ReputationEvent(TypedDict):
    """One change of a score."""

    id: Id
    user: Key
    kind: EventKind
    severity: Annotated[int, Field(ge=1, le=3)] | None
    change: Annotated[int, Field(ge=-HIGHEST, le=HIGHEST)]
    reason: str | None
    occurred_at: datetime


class InvalidField(TypedDict):
    """What is wrong with one field."""

    field: str
    detail: str


class ProblemDetails(TypedDict):
    """An error, after RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: NotRequired[list[InvalidField]]


class Changed(TypedDict):
    """The refusal of a change that is based on another version than the current one."""

    type: str
    title: str
    status: Literal[412]
    detail: str
    current: Annotated[dict[str, Any], Field(description="the value now")]
    wanted: Annotated[dict[str, Any] | None, Field(description="the refused value; null for DELETE")]


class Health(TypedDict):
    """The health of the server and of what it needs."""

    status: Literal["healthy", "unhealthy"]
    version: str
    digest: str | None
    uptime_s: Amount
    checks: dict[str, Any]
    features: dict[str, bool]
