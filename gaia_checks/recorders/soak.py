"""Many WebSocket clients for a long time: no drop, no silence, and what happens is told to all of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import TypeVar

from gaia_checks.model import Measurement, Target
from gaia_checks.recorders import fleet, listening, provocation
from gaia_checks.recorders.fleet import Fleet
from gaia_checks.recorders.measures import Measures
from gaia_checks.recorders.provocation import Delivery
from gaia_checks.recorders.sampling import HeldUp, ticks
from gaia_checks.recorders.timeline import Timeline

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
    }
)

_EVERY_S = 1.0
_NOBODY = "no client could connect"
_HELD_UP_S = 0.5  # held up so long, we may have read late what came in time: it is said beside the gap


async def record(target: Target, timeline: Timeline, *, clients: float, window_s: float) -> list[Measurement]:
    """Keep `clients` clients connected for `window_s`, and let a violation and an alert happen in the middle."""
    loop = asyncio.get_running_loop()
    async with fleet.connected(target, int(clients), provocation.key(target)) as everybody:
        began_s, held_up = loop.time(), HeldUp()
        if not everybody.listeners:
            window_s = 0.0  # nothing will come
        async with _beside(held_up.watch()), _beside(_provoke(target, everybody, window_s)) as provoking:
            async for t in ticks(_EVERY_S, window_s):
                _record(timeline, t, everybody)
            deliveries = await provoking
        ended_s = loop.time()
    return _measured(everybody, int(clients), began_s, ended_s, deliveries, held_up)


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[None, None, Work]) -> AsyncIterator[asyncio.Task[Work]]:
    """Do `work` meanwhile; at the end it is cancelled, and has cleaned up."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _provoke(target: Target, everybody: Fleet, window_s: float) -> tuple[Delivery, Delivery]:
    """Wait for the middle of the window, or for as much of it as leaves time enough, and let it happen."""
    if not everybody.listeners:
        nothing = Delivery(0, 0, (_NOBODY,))
        return nothing, nothing
    await asyncio.sleep(max(0.0, min(window_s / 2, window_s - provocation.LASTS_S)))
    return await provocation.provoke(target, everybody.listeners)


def _record(timeline: Timeline, t_s: float, everybody: Fleet) -> None:
    heard, now_s = everybody.listeners, asyncio.get_running_loop().time()
    stats_s, heartbeat_s = (listening.longest_s(heard, kind, now_s) for kind in listening.REGULAR)
    dropped = len(listening.drops(heard))
    timeline.add(
        t_s,
        f"{len(heard)} clients, worst stats gap {stats_s:.2f} s, {dropped} drops",
        clients=len(heard) - dropped,
        drops=dropped,
        stats_gap_s=stats_s,
        heartbeat_gap_s=heartbeat_s,
    )


def _measured(
    everybody: Fleet,
    clients: int,
    began_s: float,
    ended_s: float,
    deliveries: tuple[Delivery, Delivery],
    held_up: HeldUp,
) -> list[Measurement]:
    heard, window_s = everybody.listeners, ended_s - began_s
    dropped, wrong = listening.drops(heard), listening.wrong(heard)
    messages = sum(listener.stream.count for listener in heard)
    nobody = () if heard else (_NOBODY,)
    return [
        MEASURES.seen("soak.clients_connected", len(heard), n=clients, window_s=window_s, notes=everybody.refused),
        MEASURES.seen("soak.drops", len(dropped), n=len(heard), window_s=window_s, notes=dropped or nobody),
        *(
            MEASURES.seen(
                f"soak.{kind}_gap",
                round(listening.longest_s(heard, kind, ended_s), 3),
                n=len(heard),
                window_s=window_s,
                notes=nobody or _excuse(held_up),
            )
            for kind in listening.REGULAR
        ),
        *(
            MEASURES.seen(
                f"soak.{kind}_delivered", delivery.told, n=delivery.n, window_s=window_s, notes=delivery.notes
            )
            for kind, delivery in zip(("violation", "alert"), deliveries, strict=True)
        ),
        MEASURES.seen("soak.bad_messages", len(wrong), n=messages, window_s=window_s, notes=wrong or nobody),
    ]


def _excuse(held_up: HeldUp) -> tuple[str, ...]:
    if held_up.longest_s < _HELD_UP_S:
        return ()
    return (f"the recorder itself was held up for {held_up.longest_s:.1f} s: another process took this machine's CPU",)
