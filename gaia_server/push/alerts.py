"""Alerts: rules, each of which fires once and resolves once. Pure."""

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, computed_field
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError

from gaia_server.encoding import timestamp
from gaia_server.field_types import Conditional, Id, Switch, Words, one_of, whole
from gaia_server.limiting.rules import RuleName


@dataclass(frozen=True, slots=True)
class Metric:
    """What an alert rule compares with its threshold. Values are whole numbers, rounded up."""

    says: str  # with {threshold} and {by}
    window_s: int = 0  # the seconds that a value covers; 0: it is a current one
    by: str = ""  # with {rule_name}: how `says` names a rate limit rule; empty if the metric is not of a rule
    slow: bool = False  # measuring it reads many rows


METRICS: dict[str, Metric] = {
    "violations_per_minute": Metric(
        "more than {threshold} requests were refused{by} within a minute", window_s=60, by=" by {rule_name}"
    ),
    "limit_utilisation_percent": Metric(
        "a client has used more than {threshold} % of its limit{by}", by=" {rule_name}", slow=True
    ),
    "error_percent": Metric("more than {threshold} % of the requests within a minute failed", window_s=60),
    "memory_mb": Metric("a server process uses more than {threshold} MB of memory"),
    "pool_use_percent": Metric("a server process uses more than {threshold} % of its database connections"),
    "system_load_percent": Metric("a machine's load is above {threshold} % of its CPUs"),
}
"""The metrics by name. A value of several server processes is the highest of them, an error rate that of all."""

OF_RULES = tuple(name for name, metric in METRICS.items() if metric.by)
SEVERITIES = ("info", "warning", "critical")
MAX_THRESHOLD = 1_000_000_000
MAX_FOR_S = 86_400

MetricName = Annotated[str, one_of(tuple(METRICS))]
Severity = Annotated[str, one_of(SEVERITIES)]
Threshold = Annotated[int, whole(0, MAX_THRESHOLD)]


def _of_metric(value: int | None, info: ValidationInfo) -> int | None:
    """Return the id of a rate limit rule. Raises PydanticCustomError if the metric is not of a rule."""
    metric = info.data.get("metric")
    if value is not None and metric is not None and metric not in OF_RULES:
        raise PydanticCustomError("value", "must be null for a metric that is not of a rate limit rule")
    return value


_BY_METRIC: JsonSchemaValue = {
    "anyOf": [
        {"properties": {"metric": {"enum": list(OF_RULES)}}},
        {"properties": {"rule_id": {"type": "null"}}},
    ]
}
"""What `_of_metric` takes, as JSON Schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRuleFields(Conditional):
    """The fields of an alert rule that a client sets."""

    __pydantic_config__ = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)
    name: RuleName
    metric: MetricName
    rule_id: Annotated[
        Id | None,
        Words("null (all rate limit rules), or the id of a rate limit rule"),
        AfterValidator(_of_metric),
    ] = None
    threshold: Annotated[Threshold, Field(description="fires above it")]
    clear_threshold: Annotated[
        Threshold | None, Words(f"null (the threshold), or a whole number from 0 to {MAX_THRESHOLD}")
    ] = None
    for_s: Annotated[int, whole(0, MAX_FOR_S)] = 0
    severity: Severity = "warning"
    enabled: Switch = True
    conditions: ClassVar[JsonSchemaValue] = _BY_METRIC

    @property
    def clears_at(self) -> int:
        """The value at or below which it resolves."""
        return self.threshold if self.clear_threshold is None else self.clear_threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule(AlertRuleFields):
    """A stored alert rule."""

    clear_threshold: Annotated[Threshold, Field(description="resolves at or below it")]
    id: Id
    rule_name: Annotated[str | None, Field(description="of the rate limit rule")]
    muted_until: datetime | None
    pending_since: Annotated[
        datetime | None, Field(description="since when the value is above the threshold, before it fires")
    ]
    created_at: datetime
    updated_at: datetime

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated property
    @property
    def says(self) -> str:
        """When it fires, in words."""
        metric = METRICS[self.metric]
        by = metric.by.format(rule_name=self.rule_name) if self.rule_name else ""
        duration = f", for {self.for_s} s" if self.for_s else ""
        return metric.says.format(threshold=self.threshold, by=by) + duration

    @property
    def versioned(self) -> dict[str, Any]:
        """What a change by another administrator changes: a mute and a pending alert are no change of the rule."""
        return {name: value for name, value in asdict(self).items() if name not in ("muted_until", "pending_since")}

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object: the rule, and when it fires in words."""
        return {**asdict(self), "says": self.says}

    def watched(self, value: int) -> dict[str, Any]:
        """Return a JSON object for `stats`: the rule and its current value."""
        return {
            "name": self.name,
            "says": self.says,
            "threshold": self.threshold,
            "clear_threshold": self.clear_threshold,
            "window_s": METRICS[self.metric].window_s,
            "severity": self.severity,
            "value": value,
            "muted_until": timestamp(self.muted_until) if self.muted_until else None,
        }


class Step(Enum):
    """What an evaluation changes."""

    NOTHING = "nothing"
    WAIT = "wait"  # above the threshold, but not for long enough: pending
    FORGET = "forget"  # no longer pending
    FIRE = "fire"
    RESOLVE = "resolve"


def step(rule: AlertRule, value: int | None, now: datetime, *, firing: bool, observed: bool = True) -> Step:
    """Return what the rule's current value changes: without one, what fires goes on.

    Unless some process has measured lately (`observed`), nothing was above a threshold for any time.
    """
    if firing:
        return Step.RESOLVE if value is not None and value <= rule.clear_threshold else Step.NOTHING
    if value is None or value <= rule.threshold or (rule.for_s and not observed):
        return Step.FORGET if rule.pending_since else Step.NOTHING
    if now - (rule.pending_since or now) >= timedelta(seconds=rule.for_s):
        return Step.FIRE
    return Step.NOTHING if rule.pending_since else Step.WAIT


@dataclass(frozen=True, slots=True)
class Episode:
    """One alert, from firing to resolving."""

    id: int
    name: str
    severity: str
    says: str
    threshold: int
    value: int  # when it fired
    fired_at: datetime
    resolved_value: int | None = None
    resolved_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None

    @property
    def state(self) -> str:
        """`firing` or `resolved`."""
        return "resolved" if self.resolved_at else "firing"

    def to_json(self) -> dict[str, Any]:
        """Return the data of an `alert` message: the current state, since when, and who acknowledged it."""
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "severity": self.severity,
            "says": self.says,
            "value": self.value if self.resolved_value is None else self.resolved_value,
            "threshold": self.threshold,
            "since": timestamp(self.fired_at),
            "at": timestamp(self.resolved_at or self.acknowledged_at or self.fired_at),
            "acknowledged_at": timestamp(self.acknowledged_at) if self.acknowledged_at else None,
            "acknowledged_by": self.acknowledged_by,
        }


@dataclass(slots=True)
class AlertWatch:
    """One server process's view of all alerts, whichever process fired them."""

    values: dict[int, tuple[AlertRule, int]] = field(default_factory=dict)  # by the rule's id
    open: dict[int, Episode] = field(default_factory=dict)  # the firing alerts by id

    def to_json(self) -> dict[str, Any]:
        """Return the alerts in `stats`."""
        return {
            "firing": [episode.to_json() for episode in self.open.values()],
            "watched": [rule.watched(value) for _, (rule, value) in sorted(self.values.items())],
        }

    def measured(self, values: list[tuple[AlertRule, int | None]], *, slow: bool) -> None:
        """Replace the values of the fast metrics; those of the slow ones too if they were measured as well."""
        kept = {} if slow else {id_: one for id_, one in self.values.items() if METRICS[one[0].metric].slow}
        self.values = kept | {rule.id: (rule, value or 0) for rule, value in values}

    def update(self, episodes: list[Episode]) -> None:
        """Replace the alerts that fire."""
        self.open = {one.id: one for one in episodes if one.state == "firing"}
