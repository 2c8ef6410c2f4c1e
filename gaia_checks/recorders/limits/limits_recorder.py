"""Limits of this run's own, asked as `salvos` plans it: what was admitted when, and what the headers said of it.

Whether a decision was right is not for a recorder to say: when each request was sent and answered, and how, is
written down whole. Of the headers it is seen here whether they agree with that.
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
from gaia_checks.probes.api import QUOTAS
from gaia_checks.recorders.base.measurement_table import Measures
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.recorders.limits import burst_plan, header_checks
from gaia_checks.recorders.limits.burst_plan import Rule
from gaia_checks.recorders.limits.burst_sender import ADMITTED, REFUSED, Asking, Seen
from gaia_checks.recorders.limits.header_checks import Told
from gaia_checks.recorders.limits.request import Door
from gaia_checks.target import client, temporary_rules
from gaia_checks.target import rules as own

MEASURES = Measures(
    {
        "limits.answers": ("us", "by key: when each request was sent, how long it took, and whether it was admitted"),
        "limits.headers_right": ("count", "answers whose headers agree with what was asked before and meanwhile"),
        "limits.answered": ("ratio", "requests that were answered with yes or no"),
        "limits.refused_by_others": ("ratio", "requests that only rules of somebody else refused"),
    }
)

PATH = f"{QUOTAS}/nothing"
"""Limited as everything there, and cheap: what is admitted is a 404."""


@dataclass(frozen=True, slots=True)
class Key:
    """An API key of this run, and the limits that it is under."""

    name: str
    rules: Mapping[str, Rule]  # by the name that the server knows them by


def keys(target: Target, clients: int) -> dict[str, Key]:
    """Return purpose -> key. Pure."""
    run = client.key(target)
    return {
        purpose: Key(f"{run}-limits-{purpose}", {f"{run}-limits-{purpose}-{rule.window_s}s": rule for rule in each})
        for purpose, each in burst_plan.rules(clients).items()
    }


async def record(
    target: Target, timeline: Timeline, told: asyncio.Event, *, window_s: float, clients: float
) -> list[Measurement]:
    """Ask for `window_s`, as far as there is something to ask, with `clients` requests at once."""
    window_s = min(window_s, burst_plan.ENDS_S)
    ours = keys(target, int(clients))
    bodies = [
        own.for_one_key(name, rule.limit_type, rule.limit, key=key.name)
        for key in ours.values()
        for name, rule in key.rules.items()
    ]
    asking = Asking(Door(target, PATH), {purpose: key.name for purpose, key in ours.items()}, told)
    try:
        async with client.async_client(target) as http, temporary_rules.in_force(http, bodies):
            looked_s = await asking.everything(burst_plan.plan(int(clients), window_s), timeline, window_s)
    except (temporary_rules.NotTaken, httpx.HTTPError) as error:
        return MEASURES.unseen(str(error) or type(error).__name__)
    epoch_s = time.time() - asyncio.get_running_loop().time()
    return measured(asking.seen(), ours, epoch_s, looked_s)


def measured(seen: Sequence[Seen], ours: Mapping[str, Key], epoch_s: float, looked_s: float) -> list[Measurement]:
    """Return what was seen in `looked_s`; `epoch_s` is the time since the epoch at the zero of our clock."""
    ended = [one for one in seen if one.status or one.why]
    if not ended:
        return MEASURES.unseen("the gate was ended before anything was answered")
    by_purpose: dict[str, list[Told]] = defaultdict(list)
    for one in seen:
        by_purpose[one.purpose].append(one.told)
    unanswered = [f"GET {PATH}: {one.why or f'status {one.status}'}" for one in ended if one.told.admitted is None]
    others = Counter(filter(None, (_others(one.told, ours[one.purpose]) for one in ended)))
    told, wrong = _headers(by_purpose, ours, epoch_s)
    return [
        MEASURES.seen("limits.answers", _answers(by_purpose, ours), n=len(seen), window_s=looked_s),
        MEASURES.seen("limits.headers_right", told - len(wrong), n=told, window_s=looked_s, notes=wrong),
        MEASURES.seen(
            "limits.answered", 1 - len(unanswered) / len(ended), n=len(ended), window_s=looked_s, notes=unanswered
        ),
        MEASURES.seen(
            "limits.refused_by_others",
            others.total() / len(ended),
            n=len(ended),
            window_s=looked_s,
            notes=[f"{count} by {names}" for names, count in others.most_common()],
        ),
    ]


def _answers(by_purpose: Mapping[str, Sequence[Told]], ours: Mapping[str, Key]) -> list[dict[str, Any]]:
    """Return what `limit_compliance` takes: times in whole microseconds, so rounded that what happened lies within."""
    start_s = min(one.sent_s for each in by_purpose.values() for one in each)

    def answer(one: Told) -> tuple[int, int | None, bool | None]:
        sent_us = math.floor((one.sent_s - start_s) * 1e6)
        took_us = None if one.admitted is None else math.ceil((one.received_s - start_s) * 1e6) - sent_us
        return sent_us, took_us, one.admitted

    return [
        {
            "key": ours[purpose].name,
            "rules": [(rule.limit, rule.window_s) for rule in ours[purpose].rules.values()],
            "answers": [answer(one) for one in each if not _others(one, ours[purpose])],
        }
        for purpose, each in by_purpose.items()
    ]


def _others(one: Told, key: Key) -> str:
    """Return by whose rules a request was refused that ours did not refuse; nothing was counted then."""
    refusing = header_checks.refused_by(one.headers) if one.admitted is False else set()
    return ", ".join(sorted(refusing)) if refusing.isdisjoint(key.rules) else ""


def _headers(
    by_purpose: Mapping[str, Sequence[Told]], ours: Mapping[str, Key], epoch_s: float
) -> tuple[int, list[str]]:
    """Return how many answers told something, and what is wrong with some of them."""
    told, wrong = 0, []
    for purpose, each in by_purpose.items():
        for one, what in zip(each, header_checks.wrong(each, ours[purpose].rules, epoch_s), strict=True):
            told += one.admitted is not None
            wrong += [f"{ADMITTED if one.admitted else REFUSED} of {purpose}: {what}"] if what else []
    return told, wrong
