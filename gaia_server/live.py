"""Background tasks.

Each task repeats independently; one that fails because the database is unavailable logs that once and continues.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import psycopg

from gaia_server import __version__, pushing, retention
from gaia_server.alerting import evaluation, measurements, notifications
from gaia_server.app_state import Server
from gaia_server.connection import Unavailable
from gaia_server.metrics import resident_bytes

STATS_S = 5.0
HEARTBEAT_S = 10.0
PUSH_S = 0.25
RATE_S = 0.5
RULES_S = 2.0  # without a notification rules are read again after so long
STATS_FLUSH_S = 2.0
LOAD_S = 60.0

log = logging.getLogger(__name__)


@asynccontextmanager
async def running(server: Server) -> AsyncIterator[None]:
    """Keep the pool open and run the background tasks."""
    await server.store.open()
    evaluator = evaluation.Evaluator(server)
    work = (
        # Each starts at a time of its own: all at one moment would delay the requests of that moment by 20 ms.
        repeat(STATS_S, lambda: pushing.broadcast(server, "stats", server.stats())),
        repeat(HEARTBEAT_S, lambda: pushing.broadcast(server, "heartbeat", {"uptime_s": round(server.uptime_s, 3)})),
        repeat(PUSH_S, lambda: pushing.push(server, evaluator.evaluate), first_s=0),
        repeat(pushing.LEFT_S, lambda: pushing.push_left(server), first_s=0.6),
        repeat(RATE_S, RequestRate(server).update),
        repeat(evaluation.WATCH_S, evaluator.evaluate, first_s=0.4),
        repeat(measurements.MEASURE_S, measurements.Measurer(server).write, first_s=1.1),
        *(
            repeat(notifications.NOTIFY_S, partial(notifications.notify, server, number))
            for number, _ in enumerate(server.settings.alert_urls, start=1)
        ),
        repeat(STATS_FLUSH_S, lambda: write_stats(server), first_s=1.6),
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
    """Read the rules after each change of them while the server runs."""
    failing = False
    while True:
        try:
            async for _ in server.store.rule_changes(RULES_S):
                failing = False
                await server.read_rules()
        except (Unavailable, psycopg.Error) as error:
            server.observed.database = False
            if not failing:
                log.warning("lost the connection for database notifications", extra={"cause": type(error).__name__})
            failing = True
            await asyncio.sleep(0.5)
        except Exception:
            log.exception("processing a notification failed")
            await asyncio.sleep(0.5)
