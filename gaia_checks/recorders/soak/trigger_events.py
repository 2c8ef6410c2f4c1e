"""Letting a violation and an alert happen that are ours alone, to see whether all clients are told in time.

A rule of this run limits a key of this run to one request a minute; what is refused because of it belongs to
the rule and vanishes with it.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from gaia_checks.model import Target
from gaia_checks.recorders.soak.message_gaps import Listener
from gaia_checks.target import client, rules, temporary_rules
from gaia_checks.target.responses import CONFIG

VIOLATION_WITHIN_S = 1.5  # promised is 1 s after the event; the rest is the way there and back
ALERT_WITHIN_S = 2.0
LASTS_S = 10.0
"""About how long it takes in all."""

_STARTS_S = 40.0
"""When it starts at the latest, in seconds since the soak did: it is over before a load is measured."""

SPACING_S = 0.043
"""Between the requests that set the alert off: 115 in 5 s."""

QUIET_WITHIN_S = 65.0
"""An alert that fires already ends by then, unless somebody goes on violating; other looks of ours do, too."""

_ALERT_ABOVE = 100  # violations within a minute: the server's built-in alert
_MOST_REQUESTS = 200
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Delivery:
    """How many of `n` clients were told in time; n = 0 when there was nothing to tell, and why."""

    told: int
    n: int
    notes: tuple[str, ...] = ()


class NotProvoked(Exception):
    """Why the event could not be brought about. Its text holds no secret."""


def key(target: Target) -> str:
    """Return the API key whose requests are refused."""
    return f"gaia-soak-{target.run}"


def starts_s(window_s: float) -> float:
    """Return when it starts, in seconds since the soak did: in the middle of a short window. Pure."""
    return max(0.0, min(window_s / 2, window_s - LASTS_S, _STARTS_S))


def rule(target: Target) -> temporary_rules.Body:
    """Return the rule that refuses them. Pure."""
    return rules.for_one_key(f"{client.key(target)}-soak", "requests_per_minute", 1, key=key(target))


async def provoke(
    target: Target, listeners: Sequence[Listener], *, patience_s: float = QUIET_WITHIN_S
) -> tuple[Delivery, Delivery]:
    """Let a violation, then an alert happen; return to how many of `listeners` each was told in time.

    An alert that fires already is waited out for `patience_s`.
    """
    violation = None
    try:
        async with client.async_client(target) as http, temporary_rules.in_force(http, [rule(target)]):
            violation = await _violation(http, target, listeners)
            return violation, await _alert(http, target, listeners, min(patience_s, QUIET_WITHIN_S))
    except (NotProvoked, temporary_rules.NotTaken, httpx.HTTPError) as error:
        unseen = Delivery(0, 0, (str(error) or type(error).__name__,))
        return violation or unseen, unseen


async def _violation(http: httpx.AsyncClient, target: Target, listeners: Sequence[Listener]) -> Delivery:
    statuses = [await _request(http, target) for _ in range(3)]
    happened_s = _now()
    if statuses != [200, 429, 429]:
        raise NotProvoked(
            f"3 requests against a limit of 1 a minute were answered {', '.join(map(str, statuses))} instead of "
            "200, 429, 429; is RATE_LIMIT_ENABLED true, and does no other rule limit the key?"
        )
    return await _told(listeners, lambda listener: listener.violation_s, happened_s, VIOLATION_WITHIN_S)


async def _alert(http: httpx.AsyncClient, target: Target, listeners: Sequence[Listener], patience_s: float) -> Delivery:
    if not await _until(lambda: not _firing(listeners), patience_s):
        return await _told_together(listeners, patience_s)
    began_s = _now()
    happened_s = await _exceed(http, target)

    def first(listener: Listener) -> float | None:
        return next((alert_s for alert_s in listener.alerts_s if alert_s >= began_s), None)

    return await _told(listeners, first, happened_s, ALERT_WITHIN_S)


def _firing(listeners: Sequence[Listener]) -> bool:
    return any(listener.firing for listener in listeners if listener.ended_s is None)


async def _told_together(listeners: Sequence[Listener], waited_s: float) -> Delivery:
    """Take the alert that fires already, which is not told again: whoever set it off, all were to be told at once.

    Raises NotProvoked when it began to fire before anybody listened.
    """
    newest = [listener.alerts_s[-1] for listener in listeners if listener.alerts_s]
    if not newest:
        raise NotProvoked(f"an alert was firing already, and did not end within {waited_s:.0f} s")
    return await _told(listeners, lambda one: one.alerts_s[-1] if one.alerts_s else None, min(newest), ALERT_WITHIN_S)


async def _exceed(http: httpx.AsyncClient, target: Target) -> float:
    """Be refused more often than the alert allows, evenly spaced; return when. Raises NotProvoked."""
    began_s, refused = _now(), 0
    for number in range(_MOST_REQUESTS):
        await asyncio.sleep(began_s + number * SPACING_S - _now())
        refused += await _request(http, target) == 429
        if refused > _ALERT_ABOVE:
            return _now()
    raise NotProvoked(f"{refused} of {_MOST_REQUESTS} requests were refused: too few for the alert")


async def _told(
    listeners: Sequence[Listener], when: Callable[[Listener], float | None], happened_s: float, within_s: float
) -> Delivery:
    """Wait until all listeners that are still there were told, or should have been."""

    def waits(listener: Listener) -> bool:
        return listener.ended_s is None and when(listener) is None

    await _until(lambda: not any(map(waits, listeners)), happened_s + within_s - _now())
    delays = [max(0.0, told_s - happened_s) for listener in listeners if (told_s := when(listener)) is not None]
    in_time = sum(delay_s <= within_s for delay_s in delays)
    worst = f"; the last after {max(delays):.2f} s" if delays else ""
    return Delivery(in_time, len(listeners), (f"{in_time} of {len(listeners)} within {within_s:g} s{worst}",))


async def _until(done: Callable[[], bool], within_s: float) -> bool:
    deadline_s = _now() + within_s
    while not done() and _now() < deadline_s:  # noqa: ASYNC110 - many clients set what is waited for
        await asyncio.sleep(_POLL_S)
    return done()


async def _request(http: httpx.AsyncClient, target: Target) -> int:
    return (await http.get(CONFIG, params={"limit": 1}, headers={"X-API-Key": key(target)})).status_code


def _now() -> float:
    return asyncio.get_running_loop().time()
