"""Triggers violations and an alert of the gate's own, and measures whether all clients receive them in time.

Temporary rules limit two keys of this run to one request a minute; the refusals belong to the rules and are deleted
with them, and so the alert resolves.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx
from websockets.exceptions import WebSocketException

from gaia_checks.model import Target
from gaia_checks.recorders.soak import message_gaps, soak_clients
from gaia_checks.recorders.soak.message_gaps import Listener
from gaia_checks.target import client, rules, temporary_rules
from gaia_checks.target.responses import CONFIG

VIOLATION_WITHIN_S = 1.5  # the contract promises 1 s after the event; the rest is network time
ALERT_WITHIN_S = 2.0
LASTS_S = 10.0
"""About how long the events take in all."""

_STARTS_S = 40.0
"""The latest start, in seconds since the soak started: the events finish before a load is measured."""

SPACING_S = 0.043
"""Between the requests that trigger the alert: 115 in 5 s."""

QUIET_WITHIN_S = 65.0
"""An alert that is already firing resolves by then, unless violations continue; other recorders cause some, too."""

RESOLVED_WITHIN_S = 2.0  # after the refusals are deleted
"""By then the alert of the gate's own violations resolves, unless others keep it firing."""

_ALERT_ABOVE = 100  # violations within a minute: the server's built-in alert
_MOST_REQUESTS = 200
_POLL_S = 0.02
AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """How many of `n` clients received the event in time; n = 0 when there was none, and why."""

    delivered: int
    n: int
    notes: tuple[str, ...] = ()


class NotTriggered(Exception):
    """Why the event could not be triggered. Its text contains no secret."""


def keys(target: Target) -> tuple[str, str]:
    """Return the API keys whose requests are refused: the first one's until the alert fires."""
    return f"{target.key}-soak", f"{target.key}-beside-soak"


def starts_s(window_s: float) -> float:
    """Return the start of the events, in seconds since the soak started: in the middle of a short window. Pure."""
    return max(0.0, min(window_s / 2, window_s - LASTS_S, _STARTS_S))


def limits(target: Target) -> list[temporary_rules.Body]:
    """Return the rules that refuse these requests. Pure."""
    return [rules.for_one_key(key, "requests_per_minute", 1) for key in keys(target)]


async def trigger(
    target: Target, listeners: Sequence[Listener], *, patience_s: float = QUIET_WITHIN_S
) -> tuple[Delivery, Delivery]:
    """Trigger violations, then an alert; return how many of `listeners` received each in time.

    Wait at most `patience_s` for an alert that is already firing.
    """
    violation = None
    try:
        async with client.async_client(target) as http, temporary_rules.in_force(http, limits(target)):
            violation = await _violations(http, target, listeners)
            alert = await _alert(http, target, listeners, min(patience_s, QUIET_WITHIN_S))
        return violation, await _resolved(target, listeners, alert)
    except (NotTriggered, temporary_rules.RuleRefused, httpx.HTTPError) as error:
        undelivered = Delivery(0, 0, (str(error) or type(error).__name__,))
        return violation or undelivered, undelivered


async def _violations(http: httpx.AsyncClient, target: Target, listeners: Sequence[Listener]) -> Delivery:
    """Have two keys refused at the same time, so that their violations go out together."""
    rounds = [await asyncio.gather(*(_request(http, key) for key in keys(target))) for _ in range(3)]
    happened_s = _now()
    statuses = max(zip(*rounds, strict=True), key=lambda each: each != (200, 429, 429))
    if statuses != (200, 429, 429):
        raise NotTriggered(
            f"3 requests against a limit of 1 a minute were answered {', '.join(map(str, statuses))} instead of "
            "200, 429, 429; is RATE_LIMIT_ENABLED true, and does no other rule limit the key?"
        )
    return await _delivery(listeners, lambda listener: listener.violation_s, happened_s, VIOLATION_WITHIN_S)


async def _alert(http: httpx.AsyncClient, target: Target, listeners: Sequence[Listener], patience_s: float) -> Delivery:
    if not await _until(lambda: not _firing(listeners), patience_s):
        return await _delivery_of_firing_alert(listeners, patience_s)
    began_s = _now()
    happened_s = await _exceed(http, target)

    def first(listener: Listener) -> float | None:
        return next((alert_s for alert_s in listener.alerts_s if alert_s >= began_s), None)

    return await _delivery(listeners, first, happened_s, ALERT_WITHIN_S)


async def _resolved(target: Target, listeners: Sequence[Listener], alert: Delivery) -> Delivery:
    """Return `alert`, but received by none if it goes on firing by the server's own stats without a reason."""
    if not alert.n or await _until(lambda: not _firing(listeners), RESOLVED_WITHIN_S):
        return alert
    wrong: str | None = None
    for _ in range(2):  # once may be the moment of the change
        try:
            wrong = message_gaps.needless_alert(await soak_clients.stats(target, RESOLVED_WITHIN_S))
        except (WebSocketException, OSError, EOFError, TimeoutError):
            return alert  # of other clients: that one more cannot connect is measured by itself
        if wrong is None:
            return alert
        await asyncio.sleep(AGAIN_S)
    return Delivery(0, alert.n, (f"the alert does not resolve: {wrong}",))


def _firing(listeners: Sequence[Listener]) -> bool:
    return any(listener.firing for listener in listeners if listener.closed_s is None)


async def _delivery_of_firing_alert(listeners: Sequence[Listener], waited_s: float) -> Delivery:
    """Measure the alert that is already firing, which is not sent again: all clients should have received it at once.

    Raises NotTriggered when it started to fire before any client listened.
    """
    newest = [listener.alerts_s[-1] for listener in listeners if listener.alerts_s]
    if not newest:
        raise NotTriggered(f"an alert was already firing, and did not resolve within {waited_s:.0f} s")
    return await _delivery(
        listeners, lambda one: one.alerts_s[-1] if one.alerts_s else None, min(newest), ALERT_WITHIN_S
    )


async def _exceed(http: httpx.AsyncClient, target: Target) -> float:
    """Cause more refusals than the alert allows, evenly spaced; return when. Raises NotTriggered."""
    began_s, refused = _now(), 0
    for number in range(_MOST_REQUESTS):
        await asyncio.sleep(began_s + number * SPACING_S - _now())
        refused += await _request(http, keys(target)[0]) == 429
        if refused > _ALERT_ABOVE:
            return _now()
    raise NotTriggered(f"{refused} of {_MOST_REQUESTS} requests were refused: too few for the alert")


async def _delivery(
    listeners: Sequence[Listener], when: Callable[[Listener], float | None], happened_s: float, within_s: float
) -> Delivery:
    """Wait until all connected listeners received the event, or until they should have."""

    def waits(listener: Listener) -> bool:
        return listener.closed_s is None and when(listener) is None

    await _until(lambda: not any(map(waits, listeners)), happened_s + within_s - _now())
    delays = [max(0.0, received_s - happened_s) for listener in listeners if (received_s := when(listener)) is not None]
    in_time = sum(delay_s <= within_s for delay_s in delays)
    worst = f"; the last after {max(delays):.2f} s" if delays else ""
    return Delivery(in_time, len(listeners), (f"{in_time} of {len(listeners)} within {within_s:g} s{worst}",))


async def _until(done: Callable[[], bool], within_s: float) -> bool:
    deadline_s = _now() + within_s
    while not done() and _now() < deadline_s:  # noqa: ASYNC110 - many clients set the condition
        await asyncio.sleep(_POLL_S)
    return done()


async def _request(http: httpx.AsyncClient, key: str) -> int:
    return (await http.get(CONFIG, params={"limit": 1}, headers={"X-API-Key": key})).status_code


def _now() -> float:
    return asyncio.get_running_loop().time()
