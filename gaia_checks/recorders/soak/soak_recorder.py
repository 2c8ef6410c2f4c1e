"""Many WebSocket clients for a long time: no drop, no silence, and all of them receive every event."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import TypeVar

from websockets.exceptions import WebSocketException

from gaia_checks.model import Measurement, Target
from gaia_checks.recorders.base.measurement_table import Measures
from gaia_checks.recorders.base.sampling import EventLoopDelay, ticks
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.recorders.soak import dead_client, message_gaps, soak_clients, trigger_events
from gaia_checks.recorders.soak.dead_client import DeadClient
from gaia_checks.recorders.soak.soak_clients import Clients
from gaia_checks.recorders.soak.trigger_events import Delivery

Work = TypeVar("Work")

MEASURES = Measures(
    {
        "soak.clients_connected": ("count", "clients whose handshake succeeded"),
        "soak.drops": ("count", "connections that the server closed"),
        "soak.stats_gap": ("s", "longest that a client was without stats, from its handshake to the end"),
        "soak.heartbeat_gap": ("s", "longest that a client was without a heartbeat, from its handshake to the end"),
        "soak.violation_delivered": ("count", "clients that received the gate's own violations in time"),
        "soak.alert_delivered": ("count", "clients that received in time the alert of the gate's own violations"),
        "soak.bad_messages": ("count", "messages of another shape, or whose seq is not one more than the last"),
        "soak.reconnect": ("s", "from the gate's abort of one more client's connection to the stats of its next one"),
        "soak.dead_client_closed": ("bool", "one more client, which reads nothing and answers no ping, was closed"),
        "soak.gaps": ("s", "of each client: longest time without stats, and without a heartbeat"),
    }
)

_EVERY_S = 1.0
_NO_CLIENT = "no client could connect"
_NOT_YET = "the gate was stopped before this event"
_RECONNECT_WITHIN_S = 15.0  # longer reconnects are measured as this
_OWN_DELAY_S = 0.5  # with a longer delay, messages may have been read late: a note beside the gap reports it


@dataclass(frozen=True, slots=True)
class Reconnect:
    """How long a client with an aborted connection was away; n = 0 when there was none, and why."""

    away_s: float
    n: int
    notes: tuple[str, ...] = ()


Events = tuple[Delivery, Delivery, Reconnect]
"""The triggered events: a violation, an alert, a reconnect."""


def _no_events(why: str) -> Events:
    return Delivery(0, 0, (why,)), Delivery(0, 0, (why,)), Reconnect(0.0, 0, (why,))


async def record(
    target: Target, timeline: Timeline, stop: asyncio.Event, *, clients: float, window_s: float
) -> list[Measurement]:
    """Keep `clients` clients connected for `window_s`; meanwhile trigger a violation, an alert and a reconnect."""
    loop = asyncio.get_running_loop()
    async with soak_clients.connected(target, int(clients), trigger_events.keys(target)) as connected:
        began_s, own_delay, events, dead = loop.time(), EventLoopDelay(), _no_events(_NOT_YET), dead_client.NOT_YET
        if not connected.listeners:
            window_s, events = 0.0, _no_events(_NO_CLIENT)
        async with (
            _beside(own_delay.watch()),
            _beside(_trigger_events(target, connected, window_s)) as triggering,
            _beside(dead_client.left_alone(target, window_s)) as leaving_alone,
        ):
            async for t in ticks(_EVERY_S, window_s, stop):
                events = triggering.result() if triggering.done() else events
                dead = leaving_alone.result() if leaving_alone.done() else dead
                _record(timeline, t, connected, int(clients), began_s, events, dead)
            if connected.listeners and not stop.is_set():
                events, dead = await triggering, await leaving_alone
        finished_s = loop.time()
    return _measured(connected, int(clients), began_s, finished_s, events, dead, own_delay)


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[None, None, Work]) -> AsyncIterator[asyncio.Task[Work]]:
    """Run `work` concurrently; at the end cancel it and wait for its clean-up."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _trigger_events(target: Target, connected: Clients, window_s: float) -> Events:
    """Trigger the events after all clients have listened for a while, and early enough to be delivered."""
    starts_s, latest_s = trigger_events.starts_s(window_s), max(0.0, window_s - trigger_events.LASTS_S)
    await asyncio.sleep(starts_s)
    patience_s = min(latest_s - starts_s, trigger_events.QUIET_WITHIN_S)
    triggered = trigger_events.trigger(target, connected.listeners, patience_s=patience_s)
    (violation, alert), reconnect = await asyncio.gather(triggered, _reconnect(target))
    return violation, alert, reconnect


async def _reconnect(target: Target) -> Reconnect:
    try:
        return Reconnect(round(await soak_clients.back_after_a_cut(target, _RECONNECT_WITHIN_S), 3), 1)
    except (WebSocketException, OSError, EOFError, TimeoutError) as error:
        return Reconnect(
            _RECONNECT_WITHIN_S, 1, (f"not back within {_RECONNECT_WITHIN_S:g} s: {error or type(error).__name__}",)
        )


def _record(
    timeline: Timeline, t_s: float, connected: Clients, clients: int, began_s: float, events: Events, dead: DeadClient
) -> None:
    listeners, now_s = connected.listeners, asyncio.get_running_loop().time()
    stats_s, heartbeat_s = (message_gaps.longest_s(listeners, kind, now_s) for kind in message_gaps.REGULAR)
    dropped = len(message_gaps.drops(listeners))
    timeline.add(
        t_s,
        f"{len(listeners)} clients, worst stats gap {stats_s:.2f} s, {dropped} drops",
        so_far=[
            *_client_measurements(connected, clients, began_s, now_s, ()),
            *_event_measurements(events, dead, now_s - began_s),
        ],
        clients=len(listeners) - dropped,
        drops=dropped,
        stats_gap_s=stats_s,
        heartbeat_gap_s=heartbeat_s,
    )


def _measured(
    connected: Clients,
    clients: int,
    began_s: float,
    finished_s: float,
    events: Events,
    dead: DeadClient,
    own_delay: EventLoopDelay,
) -> list[Measurement]:
    listeners, window_s = connected.listeners, finished_s - began_s
    gaps = [[round(one.longest_s(kind, finished_s), 3) for kind in message_gaps.REGULAR] for one in listeners]
    return [
        *_client_measurements(connected, clients, began_s, finished_s, _delay_note(own_delay)),
        *_event_measurements(events, dead, window_s),
        MEASURES.measurement("soak.gaps", gaps, n=len(listeners), window_s=window_s),
    ]


def _event_measurements(events: Events, dead: DeadClient, window_s: float) -> list[Measurement]:
    """Return the measurements of the triggered events; before them there are no samples."""
    *deliveries, reconnect = events
    return [
        *(
            MEASURES.measurement(
                f"soak.{kind}_delivered", delivery.delivered, n=delivery.n, window_s=window_s, notes=delivery.notes
            )
            for kind, delivery in zip(("violation", "alert"), deliveries, strict=True)
        ),
        MEASURES.measurement(
            "soak.reconnect", reconnect.away_s, n=reconnect.n, window_s=window_s, notes=reconnect.notes
        ),
        MEASURES.measurement("soak.dead_client_closed", dead.closed, n=dead.n, window_s=window_s, notes=dead.notes),
    ]


def _client_measurements(
    connected: Clients, clients: int, began_s: float, now_s: float, delay_note: tuple[str, ...]
) -> list[Measurement]:
    """Return the clients' measurements so far; they can only get worse."""
    listeners, window_s = connected.listeners, now_s - began_s
    dropped, wrong = message_gaps.drops(listeners), message_gaps.wrong(listeners)
    messages = sum(listener.stream.count for listener in listeners)
    no_client = () if listeners else (_NO_CLIENT,)
    return [
        MEASURES.measurement(
            "soak.clients_connected", len(listeners), n=clients, window_s=window_s, notes=connected.refused
        ),
        MEASURES.measurement(
            "soak.drops", len(dropped), n=len(listeners), window_s=window_s, notes=dropped or no_client
        ),
        *(
            MEASURES.measurement(
                f"soak.{kind}_gap",
                round(message_gaps.longest_s(listeners, kind, now_s), 3),
                n=len(listeners),
                window_s=window_s,
                notes=no_client or delay_note,
            )
            for kind in message_gaps.REGULAR
        ),
        MEASURES.measurement("soak.bad_messages", len(wrong), n=messages, window_s=window_s, notes=wrong or no_client),
    ]


def _delay_note(own_delay: EventLoopDelay) -> tuple[str, ...]:
    if own_delay.longest_s < _OWN_DELAY_S:
        return ()
    return (f"the recorder itself was delayed by {own_delay.longest_s:.1f} s: another process took this machine's CPU",)
