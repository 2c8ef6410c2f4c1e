"""Sends the bursts of `burst_plan` against temporary rules; records what was admitted when, and checks the headers.

A recorder does not judge decisions: it records when each request was sent and answered, and how. It only checks
here whether the headers agree with that.
"""

import asyncio
import math
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from gaia_checks.model import Measurement, Target
from gaia_checks.recorders.base.measurement_table import Measures
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.recorders.limits import burst_plan, header_checks
from gaia_checks.recorders.limits.burst_plan import BurstRule
from gaia_checks.recorders.limits.burst_sender import ADMITTED, REFUSED, BurstSender, RequestOutcome
from gaia_checks.recorders.limits.header_checks import AnsweredRequest
from gaia_checks.recorders.limits.request import Endpoint
from gaia_checks.target import client, temporary_rules
from gaia_checks.target.responses import QUOTAS
from gaia_checks.target.rules import for_one_key

MEASURES = Measures(
    {
        "limits.answers": ("us", "by key: when each request was sent, how long it took, and whether it was admitted"),
        "limits.headers_right": ("count", "answers whose headers agree with the requests sent before and meanwhile"),
        "limits.answered": ("ratio", "requests that were answered with yes or no"),
        "limits.in_force": ("count", "answers that name the accepted rules of their key, of those that name any rule"),
        "limits.refused_by_others": ("ratio", "requests that only rules of other owners refused"),
    }
)

PATH = f"{QUOTAS}/nothing"
"""Rate-limited like every path below, and cheap: an admitted request is answered 404."""


@dataclass(frozen=True, slots=True)
class Key:
    """An API key of this run, and its limits."""

    name: str
    rules: Mapping[str, BurstRule]  # by the rule's name in the server


def keys(target: Target, clients: int) -> dict[str, Key]:
    """Return purpose -> key. Pure."""
    run = client.key(target)
    return {
        purpose: Key(f"{run}-limits-{purpose}", {f"{run}-limits-{purpose}-{rule.window_s}s": rule for rule in each})
        for purpose, each in burst_plan.rules(clients).items()
    }


async def record(
    target: Target, timeline: Timeline, stop: asyncio.Event, *, window_s: float, clients: float
) -> list[Measurement]:
    """Send the planned bursts for `window_s`, with at most `clients` requests at once."""
    window_s = min(window_s, burst_plan.ENDS_S)
    run_keys = keys(target, int(clients))
    bodies = [
        for_one_key(name, rule.limit_type, rule.limit, key=key.name)
        for key in run_keys.values()
        for name, rule in key.rules.items()
    ]
    sender = BurstSender(Endpoint(target, PATH), {purpose: key.name for purpose, key in run_keys.items()}, stop)
    try:
        async with client.async_client(target) as http, temporary_rules.in_force(http, bodies):
            observed_s = await sender.send_all(burst_plan.plan(int(clients), window_s), timeline, window_s)
    except (temporary_rules.RuleRefused, httpx.HTTPError) as error:
        return MEASURES.unobservable(str(error) or type(error).__name__)
    epoch_s = time.time() - asyncio.get_running_loop().time()
    return measured(sender.outcomes(), run_keys, epoch_s, observed_s)


def measured(
    outcomes: Sequence[RequestOutcome], run_keys: Mapping[str, Key], epoch_s: float, observed_s: float
) -> list[Measurement]:
    """Return the measurements of `observed_s`; `epoch_s` is the epoch time at the zero of the monotonic clock."""
    finished = [one for one in outcomes if one.status or one.why]
    if not finished:
        return MEASURES.unobservable("the gate was stopped before any request was answered")
    by_purpose: dict[str, list[AnsweredRequest]] = defaultdict(list)
    for one in outcomes:
        by_purpose[one.purpose].append(one.exchange)
    unanswered = [
        f"GET {PATH}: {one.why or f'status {one.status}'}" for one in finished if one.exchange.admitted is None
    ]
    others = Counter(filter(None, (_others(one.exchange, run_keys[one.purpose]) for one in finished)))
    checked, wrong = _headers(by_purpose, run_keys, epoch_s)
    return [
        MEASURES.measurement("limits.answers", _answers(by_purpose, run_keys), n=len(outcomes), window_s=observed_s),
        MEASURES.measurement("limits.headers_right", checked - len(wrong), n=checked, window_s=observed_s, notes=wrong),
        _in_force(finished, run_keys, observed_s),
        MEASURES.measurement(
            "limits.answered",
            1 - len(unanswered) / len(finished),
            n=len(finished),
            window_s=observed_s,
            notes=unanswered,
        ),
        MEASURES.measurement(
            "limits.refused_by_others",
            others.total() / len(finished),
            n=len(finished),
            window_s=observed_s,
            notes=[f"{count} by {names}" for names, count in others.most_common()],
        ),
    ]


def _answers(by_purpose: Mapping[str, Sequence[AnsweredRequest]], run_keys: Mapping[str, Key]) -> list[dict[str, Any]]:
    """Return the input of `limit_compliance`: times in whole microseconds, rounded so that each event lies within."""
    start_s = min(one.sent_s for each in by_purpose.values() for one in each)

    def answer(one: AnsweredRequest) -> tuple[int, int | None, bool | None]:
        sent_us = math.floor((one.sent_s - start_s) * 1e6)
        took_us = None if one.admitted is None else math.ceil((one.received_s - start_s) * 1e6) - sent_us
        return sent_us, took_us, one.admitted

    return [
        {
            "key": run_keys[purpose].name,
            "rules": [(rule.limit, rule.window_s) for rule in run_keys[purpose].rules.values()],
            "answers": [answer(one) for one in each if not _others(one, run_keys[purpose])],
        }
        for purpose, each in by_purpose.items()
    ]


def _in_force(finished: Sequence[RequestOutcome], run_keys: Mapping[str, Key], observed_s: float) -> Measurement:
    """Count the answers that name every rule of their key: the server accepted it, and leaves it out itself."""
    named = [(run_keys[one.purpose], rules) for one in finished if (rules := header_checks.named(one.exchange.headers))]
    wrong = [
        f"the rule {min(missing)} was accepted and is not in force: only {', '.join(sorted(rules))} counts"
        for key, rules in named
        if (missing := key.rules.keys() - rules)
    ]
    return MEASURES.measurement(
        "limits.in_force", len(named) - len(wrong), n=len(named), window_s=observed_s, notes=wrong
    )


def _others(one: AnsweredRequest, key: Key) -> str:
    """Return the other rules that refused a request which the gate's rules did not; nothing was counted then."""
    refusing = header_checks.refused_by(one.headers) if one.admitted is False else set()
    return ", ".join(sorted(refusing)) if refusing.isdisjoint(key.rules) else ""


def _headers(
    by_purpose: Mapping[str, Sequence[AnsweredRequest]], run_keys: Mapping[str, Key], epoch_s: float
) -> tuple[int, list[str]]:
    """Return how many answers were checked, and what is wrong with some of them."""
    checked, wrong = 0, []
    for purpose, each in by_purpose.items():
        for one, what in zip(each, header_checks.wrong(each, run_keys[purpose].rules, epoch_s), strict=True):
            checked += one.admitted is not None
            wrong += [f"{ADMITTED if one.admitted else REFUSED} of {purpose}: {what}"] if what else []
    return checked, wrong
