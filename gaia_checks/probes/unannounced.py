"""Whether limits are enforced for a client that nothing announces: without key, token and any rule of the gate.

A server may enforce its limits only while it is measured: while a rule of the gate exists, for requests with a key, or
after a token was sent. So this client comes before all of them, and again when the gate's last rule is removed. It
knows the rules in force from the list that the gate reads in between. It sends a few requests, or slightly more than a
small limit per second admits: it keeps other clients of its address out for that second, and no longer.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import httpx

from gaia_checks.errors import AdapterError, TargetUnreachable
from gaia_checks.model import NOT_CHECKED, Measurement, Target
from gaia_checks.probes.identity.own_rules import Standings, standings
from gaia_checks.target.client import client
from gaia_checks.target.responses import QUOTAS
from gaia_checks.target.samples import Score, Watch

NAME = "gate.limits_unannounced"

BEFORE, AFTER = "before the gate's first rule", "after the gate's last rule"

_PATH, _RESOURCE = f"{QUOTAS}/usage", "usage"  # what a dashboard requests
_WITHIN_S = 2.0
_SECOND = "requests_per_second"
_WINDOW_S = {_SECOND: 1, "requests_per_minute": 60, "requests_per_hour": 3600}
_FEW = 5
_SMALL = 20
"""A limit per second up to this is exceeded; of a larger one, only the remaining number is observed."""
_BEYOND = 3
_SPARE = 5
"""Every longer window has room for this many bursts: none is filled, which would keep others out for longer."""

Rule = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer."""

    sent_s: float
    received_s: float
    answer: Standings

    @property
    def admitted(self) -> bool:
        """Whether no rule refused it."""
        return self.answer.status != httpx.codes.TOO_MANY_REQUESTS


@dataclass(frozen=True, slots=True)
class UnannouncedAnswers:
    """What the client got at one moment of the gate."""

    exchanges: Sequence[Exchange]
    why: str = ""  # the reason for no exchange

    @property
    def lasted_s(self) -> float:
        """From the first request to the last answer."""
        return max(each.received_s for each in self.exchanges) - min(each.sent_s for each in self.exchanges)


def observe(target: Target) -> UnannouncedAnswers:
    """Send the requests, each but the first on a connection of its own. Never raises for the server."""
    try:
        with client(replace(target, admin_token=None), keyed=False) as http:
            first = _exchange(http)
            more = _more(first.answer)
            with ThreadPoolExecutor(more or 1) as pool:
                found = [first, *pool.map(lambda _: _exchange(http), range(more))]
    except (httpx.HTTPError, TargetUnreachable) as error:
        return UnannouncedAnswers((), f"GET {_PATH}: no answer: {type(error).__name__}")
    except AdapterError as error:
        return UnannouncedAnswers((), str(error))
    decided = [each for each in found if each.answer.status < httpx.codes.INTERNAL_SERVER_ERROR]
    return UnannouncedAnswers(decided, "" if decided else f"GET {_PATH}: status {first.answer.status}")


def forget(observation: UnannouncedAnswers) -> None:
    """Wait until a limit per second has forgotten the client, so that the gate's next requests are not refused."""
    if observation.exchanges:
        time.sleep(max(0.0, max(each.received_s for each in observation.exchanges) + 1.0 - time.monotonic()))


def in_force(before: Collection[Rule], after: Collection[Rule]) -> list[Rule]:
    """Return the enabled rules that count this client, and were the same before and after the gate. Pure."""
    return [rule for rule in before if _counts(rule) and rule in after]


def measured(observations: Mapping[str, UnannouncedAnswers], rules: Sequence[Rule]) -> Measurement:
    """Measure whether the rules were in force, counted and refused, by when they were observed. Pure."""
    tally, unknown = Score(), [f"{when}: {each.why}" for when, each in observations.items() if each.why]
    if not rules:
        unknown, observations = ["no enabled rule limits clients without a key"], {}
    for when, observation in observations.items():
        for wrong in _samples(observation, rules) if observation.exchanges else ():
            tally.add(wrong and f"{when}, a client without key and token: {wrong}")
    how = "default rules as a client without key and token meets them before the gate's first rule and after its last"
    notes = [*tally.wrong, *(f"{NOT_CHECKED}{why}" for why in unknown)]
    return Watch().measurement(NAME, tally.good, "count", tally.tried, how, notes)


def not_observed(why: str) -> Measurement:
    """Return the measurement without samples: the gate cannot know which rules are in force."""
    return Watch().measurement(NAME, 0, "count", 0, "default rules for a client without key", (f"{NOT_CHECKED}{why}",))


def _exchange(http: httpx.Client) -> Exchange:
    sent_s = time.monotonic()
    answer = standings(http.get(_PATH, timeout=_WITHIN_S))
    return Exchange(sent_s, time.monotonic(), answer)


def _more(first: Standings) -> int:
    """Return how many requests follow: beyond the limit per second if that is small and no longer window fills."""
    smallest = min(
        (first.limits[name] for name, window_s in first.windows.items() if window_s == 1), default=_SMALL + 1
    )
    burst = smallest + _BEYOND
    room = [first.remaining.get(name, 0) for name, window_s in first.windows.items() if window_s > 1]
    return burst - 1 if smallest <= _SMALL and all(left >= _SPARE * burst for left in room) else _FEW - 1


def _samples(observation: UnannouncedAnswers, rules: Sequence[Rule]) -> Iterator[str | None]:
    """Yield one sample for each rule, and one for the refusal if the requests show it: the fault, None for none."""
    for rule in rules:
        yield _not_in_force(observation, rule) or _not_counted(observation, rule)
    if frozen := _frozen(observation, rules):
        yield frozen
    limits = {rule["limit_value"]: rule["rule_name"] for rule in rules if rule["limit_type"] == _SECOND}
    admitted = sum(each.admitted for each in observation.exchanges)
    if admitted < len(observation.exchanges):
        yield None
    elif limits and admitted > min(limits) and observation.lasted_s < 1:
        yield (
            f"{admitted} requests within {observation.lasted_s:.2f} s were all admitted, "
            f"{limits[min(limits)]} admits {min(limits)} a second"
        )


def _not_in_force(observation: UnannouncedAnswers, rule: Rule) -> str | None:
    name, limit = rule["rule_name"], rule["limit_value"]
    wrong = next((each.answer for each in observation.exchanges if each.answer.limits.get(name) != limit), None)
    return f"the rule {name} is enabled and not in force: {wrong.named} applied" if wrong else None


def _not_counted(observation: UnannouncedAnswers, rule: Rule) -> str | None:
    """Return the fault where more is left than this client's own requests of the window allow."""
    name, limit = rule["rule_name"], rule["limit_value"]
    left = [each.answer.remaining.get(name, limit) for each in observation.exchanges if each.admitted]
    if observation.lasted_s >= _WINDOW_S.get(rule["limit_type"], 0) or not left:
        return None
    most = max(0, limit - len(left))
    return None if min(left) <= most else f"after {len(left)} requests {min(left)} of {limit} are left under {name}"


def _frozen(observation: UnannouncedAnswers, rules: Sequence[Rule]) -> str | None:
    """Return the fault where no longer window counts down, which requests that leave it hide in one, but not in all."""
    admitted = [each.answer.remaining for each in observation.exchanges if each.admitted]
    longer = [rule["rule_name"] for rule in rules if rule["limit_type"] != _SECOND]
    left = [{each.get(name, 0) for each in admitted} for name in longer]
    if len(admitted) < _FEW or not left or any(len(each) > 1 or 0 in each for each in left):
        return None
    return f"{len(admitted)} requests changed no remaining number: {min(left[0])} under {longer[0]}"


def _counts(rule: Rule) -> bool:
    """Whether an enabled rule counts this client."""
    whom = rule.get("scope") in ("ip", "global") and rule.get("scope_value") is None
    known = isinstance(rule.get("limit_value"), int) and isinstance(rule.get("limit_type"), str)
    return whom and known and rule.get("enabled") is True and rule.get("resource_type") in (None, _RESOURCE)
