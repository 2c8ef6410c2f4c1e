"""The bodies of requests, but for that of a rule (`limiting.rules`). Pure."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from gaia_server.field_types import Switch, Words, whole
from gaia_server.limiting.limit_types import LimitTypeName
from gaia_server.limiting.reputation import Score
from gaia_server.limiting.rules import LimitValue, RuleFields

MAX_MUTE_S = 30 * 86_400


class Body(BaseModel):
    """A JSON object with these fields and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class RuleImport(Body):
    """Rules that replace those of their names."""

    rules: list[RuleFields]


class UserLimits(Body):
    """A user's own limits over all resources."""

    limits: dict[LimitTypeName, LimitValue]


class ReputationFields(Body):
    """The fields of a reputation that a client sets."""

    score: Score
    vip: Switch = False
    reason: Annotated[
        str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]{1,200}$"), Words("1 to 200 characters without control characters")
    ]


class Acknowledgement(Body):
    """Who takes care of an alert."""

    by: Annotated[
        str,
        Field(pattern=r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]{0,98}[^\s\x00-\x1f\x7f-\x9f])?$"),
        Words("1 to 100 characters without control characters, and no space at either end"),
    ]


class Mute(Body):
    """For how long an alert rule notifies nobody; 0: it notifies again."""

    for_s: Annotated[int, whole(0, MAX_MUTE_S)]


class Login(Body):
    """What a session is created for."""

    token: Annotated[str, Words("a string")]
