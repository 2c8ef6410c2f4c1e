"""The query parameters of each route. What the URL contains is text: it is read strictly, and never guessed at."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, Strict

from gaia_server.analytics import PERIODS
from gaia_server.field_types import Id, Key, Switch, Words, one_of, whole
from gaia_server.limiting.reputation import EventKind, Score, Tier
from gaia_server.limiting.rules import LimitValue, Scope
from gaia_server.push.alerts import Severity
from gaia_server.push.replay import NOW
from gaia_server.storage.queries import RULES, USAGE, VIOLATING_CLIENTS, VIOLATIONS
from gaia_server.storage.users import USERS

MAX_PAGE = 200


def _number(given: str) -> int | str:
    return int(given) if given.isascii() and given.isdecimal() and len(given) <= 19 else given


def _time(given: str) -> datetime | str:
    try:
        return datetime.fromisoformat(given)
    except ValueError:
        return given


def _position(given: str) -> datetime | str:
    return NOW if given == "now" else _time(given)


_NUMBER = BeforeValidator(_number)
_SWITCH = BeforeValidator(lambda given: {"true": True, "false": False}.get(given, given))
_Text = Annotated[str, Field(pattern=r"^[ -~]{1,300}$"), Words("1 to 300 printable ASCII characters")]
_Time = Annotated[
    AwareDatetime, Strict(), Words("a time with a zone, e.g. 2026-02-26T10:00:00Z"), BeforeValidator(_time)
]
_Position = Annotated[
    AwareDatetime, Strict(), Words("a time with a zone, e.g. 2026-02-26T10:00:00Z, or now"), BeforeValidator(_position)
]
_Score = Annotated[Score, _NUMBER]
RULE_ID = Annotated[Id, _NUMBER]


class Parameters(BaseModel):
    """The parameters of a route; None stands for one that is absent."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Paging(Parameters):
    """Which part of a list is wanted."""

    limit: Annotated[int, whole(1, MAX_PAGE), _NUMBER] = 50
    offset: Annotated[int, whole(0, 1_000_000), _NUMBER] = 0

    @property
    def filters(self) -> dict[str, Any]:
        """The other parameters, those that are given."""
        return self.model_dump(exclude=set(Paging.model_fields), exclude_unset=True)


class Confirmation(Parameters):
    """Whether a rule may refuse its own author."""

    confirm: Annotated[Switch, _SWITCH] = False


class ImportParameters(Confirmation):
    """Whether an import only previews its changes."""

    apply: Annotated[Switch, _SWITCH, Field(description="whether to make the changes")] = False


class PreviewParameters(Parameters):
    """The limit that is previewed; None: the rule's own."""

    limit_value: Annotated[LimitValue, _NUMBER] | None = None


class RuleFilters(Paging):
    """Of rules."""

    scope: Scope | None = None
    enabled: Annotated[Switch, _SWITCH] | None = None
    rule_name: _Text | None = None
    search: Annotated[_Text, Field(description="a part of the name or of the value, in any case")] | None = None
    sort: Annotated[str, one_of(RULES.sort_names)] | None = None


class _CountedFilters(Paging):
    """Of what is counted by rule and key."""

    rule_id: RULE_ID | None = None
    scope: Scope | None = None
    key: _Text | None = None


class UsageFilters(_CountedFilters):
    """Of the use of limits."""

    sort: Annotated[str, one_of(USAGE.sort_names)] | None = None


class _RefusedFilters(_CountedFilters):
    """Of refused requests."""

    since: _Time | None = None
    until: _Time | None = None


class ViolationFilters(_RefusedFilters):
    """Of refused requests by client, rule and second."""

    sort: Annotated[str, one_of(VIOLATIONS.sort_names)] | None = None


class ClientFilters(_RefusedFilters):
    """Of refused requests by client."""

    sort: Annotated[str, one_of(VIOLATING_CLIENTS.sort_names)] | None = None


class UserFilters(Paging):
    """Of counted users."""

    sort: Annotated[str, one_of(USERS.sort_names)] | None = None


class AlertFilters(Paging):
    """Of alerts."""

    state: Annotated[str, one_of(("firing", "resolved"))] | None = None
    severity: Severity | None = None
    acknowledged: Annotated[Switch, _SWITCH] | None = None
    since: _Time | None = None
    until: _Time | None = None


class Period(Parameters):
    """What analytics are about."""

    minutes: Annotated[int, whole(1, 90 * 24 * 60), _NUMBER] = 60
    per: Annotated[str, one_of(PERIODS)] = "minute"
    until: _Time | None = None


class ReputationFilters(Paging):
    """Of reputations."""

    tier: Tier | None = None
    min_score: _Score | None = None
    max_score: _Score | None = None


class EventFilters(Paging):
    """Of changes of scores."""

    user: Key | None = None
    kind: EventKind | None = None
    since: _Time | None = None
    until: _Time | None = None


class LiveParameters(Parameters):
    """Of the WebSocket: the timestamp of the last message received; `now` is later than every one."""

    since: _Position | None = None
