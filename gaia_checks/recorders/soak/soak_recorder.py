"""Many WebSocket clients for a long time: no drop, no silence, and what happens is told to all of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import TypeVar

from websockets.exceptions import WebSocketException

from gaia_checks.model import Measurement, Target
from gaia_checks.recorders.base.measurement_table import Measures
from gaia_checks.recorders.base.sampling import HeldUp, ticks
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.recorders.soak import message_gaps, soak_clients, trigger_events
from gaia_checks.recorders.soak.soak_clients import Fleet
from gaia_checks.recorders.soak.trigger_events import Delivery

Work = TypeVar("Work")

MEASURES = Measures(
    {
        "soak.clients_connected": ("count", "clients whose handshake succeeded"),
        "soak.drops": ("count", "connections that ended before we left"),
        "soak.stats_gap": ("s", "longest that a client was without stats, from its handshake to the end"),
        "soak.heartbeat_gap": ("s", "longest that a client was without a heartbeat, from its handshake to the end"),
        "soak.violation_delivered": ("count", "clients that were told in time of a violation of ours"),
        "soak.alert_delivered": ("count", "clients that were told in time of the alert that our violations set off"),
        "soak.bad_messages": ("count", "messages of another shape, or whose seq is not one more than the last"),
        "soak.reconnect": ("s", "from when one more client's connection was cut by us to the stats of its next one"),
        "soak.gaps": ("s", "of each client: longest time without stats, and without a heartbeat"),
    }
)

_EVERY_S = 1.0
_NOBODY = "no client could connect"
_NOT_YET = "the gate was ended before it came to that"
_BACK_WITHIN_S = 15.0  # what takes longer is measured as this
_HELD_UP_S = 0.5  # held up so long, we may have read late what came in time: it is said beside the gap


@dataclass(frozen=True, slots=True)
class Back:
    """How long a client was away that was cut off; n = 0 when none was, and why."""

    away_s: float
    n: int
    notes: tuple[str, ...] = ()


Events = tuple[Delivery, Delivery, Back]
"""What was brought about meanwhile: a violation, an alert, a client cut off."""


def _nothing(why: str) -> Events:
    return Delivery(0, 0, (why,)), Delivery(0, 0, (why,)), Back(0.0, 0, (why,))


async def record(
    target: Target, timeline: Timeline, told: asyncio.Event, *, clients: float, window_s: float
) -> list[Measurement]:
    """Keep `clients` clients connected for `window_s`; meanwhile a violation, an alert and a reconnect happen."""
    loop = asyncio.get_running_loop()
    async with soak_clients.connected(target, int(clients), trigger_events.key(target)) as everybody:
        began_s, held_up, events = loop.time(), HeldUp(), _nothing(_NOT_YET)
        if not everybody.listeners:
            window_s, events = 0.0, _nothing(_NOBODY)
        async with _beside(held_up.watch()), _beside(_bring_about(target, everybody, window_s)) as bringing:
            async for t in ticks(_EVERY_S, window_s, told):
                events = bringing.result() if bringing.done() else events
                _record(timeline, t, everybody, int(clients), began_s, events)
            if everybody.listeners and not told.is_set():
                events = await bringing
        ended_s = loop.time()
    return _measured(everybody, int(clients), began_s, ended_s, events, held_up)


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[None, None, Work]) -> AsyncIterator[asyncio.Task[Work]]:
    """Do `work` meanwhile; at the end it is cancelled, and has cleaned up."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _bring_about(target: Target, everybody: Fleet, window_s: float) -> Events:
    """Let the events happen once all clients have listened for a while, and early enough to be delivered."""
    starts_s, latest_s = trigger_events.starts_s(window_s), max(0.0, window_s - trigger_events.LASTS_S)
    await asyncio.sleep(starts_s)
    patience_s = min(latest_s - starts_s, trigger_events.QUIET_WITHIN_S)
    provoking = trigger_events.provoke(target, everybody.listeners, patience_s=patience_s)
    (violation, alert), back = await asyncio.gather(provoking, _cut_one_off(target))
    return violation, alert, back


async def _cut_one_off(target: Target) -> Back:
    try:
        return Back(round(await soak_clients.back_after_a_cut(target, _BACK_WITHIN_S), 3), 1)
    except (WebSocketException, OSError, EOFError, TimeoutError) as error:
        return Back(_BACK_WITHIN_S, 1, (f"not back within {_BACK_WITHIN_S:g} s: {error or type(error).__name__}",))


def _record(timeline: Timeline, t_s: float, everybody: Fleet, clients: int, began_s: float, events: Events) -> None:
    heard, now_s = everybody.listeners, asyncio.get_running_loop().time()
    stats_s, heartbeat_s = (message_gaps.longest_s(heard, kind, now_s) for kind in message_gaps.REGULAR)
    dropped = len(message_gaps.drops(heard))
    timeline.add(
        t_s,
        f"{len(heard)} clients, worst stats gap {stats_s:.2f} s, {dropped} drops",
        so_far=[*_listened(everybody, clients, began_s, now_s, ()), *_happened(events, now_s - began_s)],
        clients=len(heard) - dropped,
        drops=dropped,
        stats_gap_s=stats_s,
        heartbeat_gap_s=heartbeat_s,
    )


def _measured(
    everybody: Fleet, clients: int, began_s: float, ended_s: float, events: Events, held_up: HeldUp
) -> list[Measurement]:
    heard, window_s = everybody.listeners, ended_s - began_s
    gaps = [[round(one.longest_s(kind, ended_s), 3) for kind in message_gaps.REGULAR] for one in heard]
    return [
        *_listened(everybody, clients, began_s, ended_s, _excuse(held_up)),
        *_happened(events, window_s),
        MEASURES.seen("soak.gaps", gaps, n=len(heard), window_s=window_s),
    ]


def _happened(events: Events, window_s: float) -> list[Measurement]:
    """Return what came of what was brought about; before that there are no samples."""
    *deliveries, back = events
    return [
        *(
            MEASURES.seen(
                f"soak.{kind}_delivered", delivery.told, n=delivery.n, window_s=window_s, notes=delivery.notes
            )
            for kind, delivery in zip(("violation", "alert"), deliveries, strict=True)
        ),
        MEASURES.seen("soak.reconnect", back.away_s, n=back.n, window_s=window_s, notes=back.notes),
    ]


def _listened(
    everybody: Fleet, clients: int, began_s: float, now_s: float, excuse: tuple[str, ...]
) -> list[Measurement]:
    """Return what the clients have heard so far; it can only get worse."""
    heard, window_s = everybody.listeners, now_s - began_s
    dropped, wrong = message_gaps.drops(heard), message_gaps.wrong(heard)
    messages = sum(listener.stream.count for listener in heard)
    nobody = () if heard else (_NOBODY,)
    return [
        MEASURES.seen("soak.clients_connected", len(heard), n=clients, window_s=window_s, notes=everybody.refused),
        MEASURES.seen("soak.drops", len(dropped), n=len(heard), window_s=window_s, notes=dropped or nobody),
        *(
            MEASURES.seen(
                f"soak.{kind}_gap",
                round(message_gaps.longest_s(heard, kind, now_s), 3),
                n=len(heard),
                window_s=window_s,
                notes=nobody or excuse,
            )
            for kind in message_gaps.REGULAR
        ),
        MEASURES.seen("soak.bad_messages", len(wrong), n=messages, window_s=window_s, notes=wrong or nobody),
    ]


def _excuse(held_up: HeldUp) -> tuple[str, ...]:
    if held_up.longest_s < _HELD_UP_S:
        return ()
    return (f"the recorder itself was held up for {held_up.longest_s:.1f} s: another process took this machine's CPU",)
