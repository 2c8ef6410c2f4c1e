"""Background tasks and the WebSocket.

Each task repeats independently; one that fails because the database is unavailable logs that once and continues.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg
from starlette.websockets import WebSocket, WebSocketDisconnect

from gaia_server import __version__, alerting, retention
from gaia_server.alerting import Evaluator
from gaia_server.app_state import Server
from gaia_server.connection import Unavailable
from gaia_server.metrics import resident_bytes
from gaia_server.push.hub import Client, Message
from gaia_server.push.violations import notifications
from gaia_server.storage.store import EVENTS_CHANNEL, RULES_CHANNEL

STATS_S = 5.0
HEARTBEAT_S = 10.0
PUSH_S = 0.25
RATE_S = 0.5
RULES_S = 2.0  # without a notification rules are read again after so long
STATS_FLUSH_S = 2.0
LOAD_S = 60.0

TRY_LATER = 1013
_CLOSE_CODES = {401: 4401, 403: 4403, 429: TRY_LATER}  # by the HTTP status of the refusal
SLOW_S = 10.0  # a client that takes no message for so long is closed
CLOSE_S = 1.0  # timeout of that close handshake

log = logging.getLogger(__name__)


@asynccontextmanager
async def running(server: Server) -> AsyncIterator[None]:
    """Keep the pool open and run the background tasks."""
    await server.store.open()
    work = (
        repeat(STATS_S, lambda: broadcast(server, "stats", server.stats())),
        repeat(HEARTBEAT_S, lambda: broadcast(server, "heartbeat", {"uptime_s": round(server.uptime_s, 3)})),
        repeat(PUSH_S, lambda: push_violations(server)),
        repeat(RATE_S, RequestRate(server).update),
        repeat(alerting.WATCH_S, partial(push_alerts, server, Evaluator(server))),
        repeat(alerting.MEASURE_S, alerting.Measurer(server).write),
        *(
            repeat(alerting.NOTIFY_S, partial(alerting.notify, server, number))
            for number, _ in enumerate(server.settings.alert_urls, start=1)
        ),
        repeat(STATS_FLUSH_S, lambda: write_stats(server)),
        repeat(LOAD_S, LoadSampler(server).write),
        repeat(server.settings.retention_interval_s, lambda: retention.upkeep(server), first_s=0),
        listen(server),
        server.batcher.run(),
    )
    tasks = [asyncio.create_task(one) for one in work]
    log.info("serving", extra={"version": __version__, "digest": server.digest, "instance": server.instance})
    try:
        yield
    finally:
        log.info("stopping")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _flush_stats(server)
        await server.limiter.close()
        await server.store.close()


async def _flush_stats(server: Server) -> None:
    try:
        await write_stats(server)
    except Unavailable as error:
        log.warning("statistics of the last seconds are lost", extra={"cause": str(error)})


async def repeat(every_s: float, work: Callable[[], Awaitable[None]], *, first_s: float | None = None) -> None:
    """Do `work` every `every_s` seconds, at first after `first_s` (by default as long), without drift."""
    loop = asyncio.get_running_loop()
    due, failing = loop.time() + (every_s if first_s is None else first_s), False
    while True:
        await asyncio.sleep(due - loop.time())
        due = max(due + every_s, loop.time())
        try:
            await work()
            failing = False
        except Unavailable as error:
            if not failing:
                log.warning("background work waits for the database", extra={"cause": str(error)})
            failing = True
        except Exception:
            log.exception("background work failed")


# Pushing


async def broadcast(server: Server, kind: str, data: Any) -> None:
    """Send a message to all clients, in chunks, so that requests are answered in between."""
    for _ in server.hub.publish(Message.of(kind, data, datetime.now(UTC))):
        await asyncio.sleep(0)
    server.metrics.pushed.labels(kind).inc()


async def push_violations(server: Server) -> None:
    """Push the refusals since the last call to this process's clients and to the other processes."""
    if violations := server.pending.take():
        for violation in violations:
            await broadcast(server, "violation", violation)
        for payload in notifications(server.instance, violations):
            await server.store.notify(payload)


async def push_alerts(server: Server, evaluator: Evaluator) -> None:
    """Evaluate the alert rules; push each change, whichever process made it."""
    for alert in await evaluator.evaluate():
        await broadcast(server, "alert", alert.to_json())


class RequestRate:
    """Requests per second, smoothed over about 5 s."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._then, self._requests = time.monotonic(), 0

    async def update(self) -> None:
        """Add the requests since the last call to the average."""
        now, observed = time.monotonic(), self._server.observed
        current = (self._server.requests - self._requests) / max(now - self._then, 1e-3)
        self._then, self._requests = now, self._server.requests
        observed.requests_per_second += (current - observed.requests_per_second) * 0.2
        if observed.requests_per_second < 0.01:
            observed.requests_per_second = 0.0


# Storing


async def write_stats(server: Server) -> None:
    """Add the decisions since the last call to the current minute; keep them if the database is unavailable."""
    if taken := dict(server.counts):
        await server.store.add_stats(taken)
        server.counts.subtract(taken)
        for key in [key for key, count in server.counts.items() if not count]:
            del server.counts[key]


class LoadSampler:
    """Samples the load of this process, about once a minute."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._then, self._cpu = time.monotonic(), time.process_time()

    async def write(self) -> None:
        """Store the load since the last call."""
        now, cpu = time.monotonic(), time.process_time()
        busy = (cpu - self._cpu) / max(now - self._then, 1e-3)
        self._then, self._cpu = now, cpu
        server = self._server
        await server.store.add_load(
            {
                "instance": server.instance,
                "cpu_percent": 100 * busy,
                "memory_bytes": resident_bytes(),
                "requests_per_second": server.observed.requests_per_second,
                "websocket_clients": len(server.hub.clients),
                "pool_in_use": server.store.pool_use.in_use,
            }
        )


# Listening


async def listen(server: Server) -> None:
    """Receive notifications of changed rules and of other processes' violations while the server runs."""
    failing = False
    while True:
        try:
            async for channel, payload in server.store.notifications(RULES_S):
                failing = False
                if channel in ("", RULES_CHANNEL):
                    await server.read_rules()
                elif channel == EVENTS_CHANNEL:
                    await _receive_event(server, payload)
        except (Unavailable, psycopg.Error) as error:
            server.observed.database = False
            if not failing:
                log.warning("lost the connection for database notifications", extra={"cause": type(error).__name__})
            failing = True
            await asyncio.sleep(0.5)
        except Exception:
            log.exception("processing a notification failed")
            await asyncio.sleep(0.5)


async def _receive_event(server: Server, payload: str) -> None:
    event = json.loads(payload)
    if event["from"] != server.instance:
        for violation in event["violations"]:
            await broadcast(server, "violation", violation)


# The WebSocket


async def quotas(websocket: WebSocket) -> None:
    """Serve one client of /ws/admin/quotas until it disconnects, stops reading, or the server stops."""
    server: Server = websocket.app.state.server
    await websocket.accept()  # without it a browser would not learn the close code
    if refusal := server.refusal(websocket):
        await websocket.close(_CLOSE_CODES[refusal.status], refusal.detail)
        return
    client = server.hub.join()
    if client is None:
        await websocket.close(TRY_LATER, "too many clients")
        return
    client.put(Message.of("stats", server.stats(), datetime.now(UTC)))
    reading = asyncio.create_task(_read(websocket))
    writing = asyncio.create_task(_write(websocket, client))
    try:
        await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.hub.leave(client)
        reading.cancel()
        writing.cancel()
        _, written = await asyncio.gather(reading, writing, return_exceptions=True)
    if client.overflowed or isinstance(written, TimeoutError):
        await _close_slow_client(websocket)


async def _write(websocket: WebSocket, client: Client) -> None:
    while not client.overflowed:
        await client.ready.wait()
        for text in client.take():
            async with asyncio.timeout(SLOW_S):
                await websocket.send_text(text)


async def _read(websocket: WebSocket) -> None:
    """Wait until the client disconnects; its messages are ignored."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def _close_slow_client(websocket: WebSocket) -> None:
    log.info("closing a WebSocket client that does not read")
    with suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
        async with asyncio.timeout(CLOSE_S):
            await websocket.close(TRY_LATER, "too slow")
