"""The management of rules, which no rule may lock out. Pure: time is an argument.

A rule decides such a request like any other. If it refuses an administrator, the request passes within a budget of its
own, so that the rule can be found, changed and deleted. A rule for an API key is an exception: whoever sends a key
wants to be limited by its rules, and can leave it out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from gaia_server.limiting.decision import Decision
from gaia_server.limiting.principals import Principal
from gaia_server.limiting.rules import RuleFields

RESOURCES = frozenset(("config", "users"))
"""The resource types that manage rules: a user's own limits are rules as well."""

BURST = 30
RATE_PER_S = 10.0


@dataclass(slots=True)
class Budget:
    """The requests of administrators that rules refused: BURST at once, RATE_PER_S afterwards."""

    _left: float = BURST
    _at: float = 0.0

    def take(self, now: float) -> bool:
        """Take one request from the budget; False if it is used up. `now` is in seconds of a monotonic clock."""
        self._left = min(self._left + (now - self._at) * RATE_PER_S, BURST)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def may_pass(resource_type: str, decision: Decision) -> bool:
    """Whether a refused request of an administrator may pass within the budget."""
    return resource_type in RESOURCES and all(standing.scope != "api_key" for standing in decision.refusals)


def refused(principal: Principal, rules: Iterable[tuple[RuleFields, int]]) -> list[RuleFields]:
    """Return those of (rule, requests counted so far) that would refuse the next request of `principal`."""
    return [rule for rule, used in rules if applies(rule, principal) and used >= rule.limit_value]


def applies(rule: RuleFields, principal: Principal) -> bool:
    """Whether a rule decides the requests of `principal`. An API key can be left out, so its rules count for nobody."""
    if not rule.enabled or rule.scope == "api_key":
        return False
    return rule.scope == "global" or (rule.scope == principal.scope and rule.scope_value in (None, principal.value))
