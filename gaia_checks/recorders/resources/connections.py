"""Samples the server's database connections: its pool from its own metrics, its sessions from PostgreSQL.

Only lasting values count: while a pool opens a connection, or another process uses the CPU, requests wait for some
milliseconds, and a sample in that time does not mean that the pool is too small.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import httpx
import psycopg

from gaia_checks.model import Measurement, Target
from gaia_checks.recorders.base import metrics_client
from gaia_checks.recorders.base.measurement_table import Measures
from gaia_checks.recorders.base.metrics_client import NoSample
from gaia_checks.recorders.base.sampling import Coverage, ticks
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.target.client import CONNECT_S, async_client
from gaia_checks.target.postgres_session import APPLICATION_NAME, NO_CONNECTION_STRING, options
from gaia_checks.target.prometheus_text import Exposition
from gaia_checks.target.responses import METRICS
from gaia_checks.target.unobservable import DATABASE, METRIC, cannot_observe

MEASURES = Measures(
    {
        "connections.peak_of_pool": ("ratio", "most of the server's pool in use at 4 samples in a row, of its maximum"),
        "connections.idle_in_transaction": ("count", "most sessions of gaia_server idle in a transaction for over 1 s"),
        "connections.waiters": (
            "count",
            "most requests waiting for the pool at 4 samples in a row, and sessions waiting over 1 s for a lock",
        ),
    }
)

IN_A_ROW = 4

IN_USE, WAITING, MOST = "gaia_database_pool_in_use", "gaia_database_pool_waiting", "gaia_database_pool_max"
SIZE = "gaia_database_pool_connections"

_SESSIONS = """
    SELECT count(*),
        count(*) FILTER (WHERE state IS NULL),
        count(*) FILTER (WHERE state LIKE 'idle in transaction%'
                         AND state_change < clock_timestamp() - interval '1 second'),
        count(*) FILTER (WHERE EXISTS (
            SELECT FROM pg_locks AS l
            WHERE l.pid = a.pid AND l.waitstart < clock_timestamp() - interval '1 second'
        ))
    FROM pg_stat_activity AS a
    WHERE application_name = 'gaia_server' AND datname = current_database()
"""

Sample = TypeVar("Sample")


@dataclass(frozen=True, slots=True)
class ServerPool:
    """The server's pool at one moment, from its own metrics."""

    in_use: float
    waiting: float
    most: float
    size: float = 0.0  # its connections; 0 when the server does not report them


@dataclass(frozen=True, slots=True)
class Sessions:
    """The server's sessions at one moment, from PostgreSQL."""

    count: int
    idle_in_transaction: int
    waiting: int


@dataclass(slots=True)
class Lasting:
    """The minimum of the last IN_A_ROW samples. Pure."""

    row: deque[float] = field(default_factory=lambda: deque(maxlen=IN_A_ROW))

    def add(self, value: float) -> float:
        """Take the next sample; return the lasting value, 0 while there are too few samples."""
        self.row.append(value)
        return min(self.row) if len(self.row) == IN_A_ROW else 0.0


@dataclass(slots=True)
class Worst:
    """The worst of all samples. Pure."""

    of_pool: float = 0.0
    idle_in_transaction: int = 0
    waiters: float = 0.0
    beyond: str = ""  # how a pool had more connections than its maximum
    _in_use: Lasting = field(default_factory=Lasting)
    _waiting: Lasting = field(default_factory=Lasting)

    def add(self, pool: ServerPool | None, sessions: Sessions | None) -> None:
        """Take the samples of one moment; None for a missing one."""
        waiting = 0.0
        if pool:
            self.of_pool = max(self.of_pool, self._in_use.add(pool.in_use / pool.most))
            if pool.size > pool.most:  # once is enough: both are of one answer
                self.beyond = f"{MOST} is {pool.most:g}, and the pool has {pool.size:g} connections ({SIZE})"
                self.of_pool = max(self.of_pool, pool.size / pool.most)
            waiting += self._waiting.add(pool.waiting)
        if sessions:
            self.idle_in_transaction = max(self.idle_in_transaction, sessions.idle_in_transaction)
            waiting += sessions.waiting
        self.waiters = max(self.waiters, waiting)

    def __str__(self) -> str:
        return (
            f"at most {self.of_pool:.0%} of the pool in use, {self.waiters:.0f} waiting, "
            f"{self.idle_in_transaction} idle in a transaction"
        )


@dataclass(slots=True)
class _Sampler:
    """One source of samples: when it gave one, and why not."""

    coverage: Coverage
    cannot: Callable[..., str]  # `cannot_observe` without the reason
    notes: list[str] = field(default_factory=list)

    async def take(self, t_s: float, sample: Awaitable[Sample]) -> Sample | None:
        """Return the sample, None when it could not be taken."""
        try:
            taken = await sample
        except NoSample as why:
            if not any(str(why) in note for note in self.notes):
                self.notes.append(self.cannot(why=f"{t_s:.0f} s after the start: {why}"))
            return None
        self.coverage.add(t_s)
        return taken


async def record(
    target: Target, timeline: Timeline, stop: asyncio.Event, *, window_s: float, interval_s: float
) -> list[Measurement]:
    """Sample every `interval_s` for `window_s`. Time without samples counts as not observed."""
    worst, both = Worst(), Coverage(interval_s)
    gauges = f"{IN_USE}, {WAITING} and {MOST}"
    on_pool = _Sampler(
        Coverage(interval_s), partial(cannot_observe, target, "the server's pool", METRIC, metric=gauges)
    )
    on_sessions = _Sampler(
        Coverage(interval_s), partial(cannot_observe, target, "the server's database sessions", DATABASE)
    )
    async with async_client(target) as http, contextlib.aclosing(Database(target.database_url)) as database:
        async for t in ticks(interval_s, window_s, stop):
            pool, sessions = await asyncio.gather(
                on_pool.take(t, _pool(http)), on_sessions.take(t, database.sessions())
            )
            worst.add(pool, sessions)
            if pool and sessions:
                both.add(t)
            timeline.add(t, str(worst), so_far=_measured(worst, on_pool, on_sessions, both), **_numbers(pool, sessions))
    return _measured(worst, on_pool, on_sessions, both)


def _measured(worst: Worst, on_pool: _Sampler, on_sessions: _Sampler, both: Coverage) -> list[Measurement]:
    both_notes = on_pool.notes + on_sessions.notes
    pool_notes = [worst.beyond, *on_pool.notes] if worst.beyond else on_pool.notes
    return [
        _measurement("connections.peak_of_pool", worst.of_pool, on_pool.coverage, pool_notes, IN_A_ROW),
        _measurement(
            "connections.idle_in_transaction", worst.idle_in_transaction, on_sessions.coverage, on_sessions.notes, 1
        ),
        _measurement("connections.waiters", worst.waiters, both, both_notes, IN_A_ROW),
    ]


def _measurement(name: str, value: float, coverage: Coverage, notes: list[str], least: int) -> Measurement:
    n = coverage.n
    if n < least:
        n, notes = 0, [*notes, f"{n} samples; at least {least} are required"]
    return MEASURES.measurement(name, value, n=n, window_s=coverage.covered_s, notes=notes)


def _numbers(pool: ServerPool | None, sessions: Sessions | None) -> dict[str, float]:
    numbers = {"pool_in_use": pool.in_use, "pool_waiting": pool.waiting} if pool else {}
    return numbers | ({"sessions": sessions.count} if sessions else {})


async def _pool(http: httpx.AsyncClient) -> ServerPool:
    return pool_of(await metrics_client.read(http))


def pool_of(exposition: Exposition) -> ServerPool:
    """Return the pool from the metrics. Raises NoSample. Pure."""
    in_use, waiting, most = (metrics_client.gauge(exposition, name) for name in (IN_USE, WAITING, MOST))
    if not most > 0:
        raise NoSample(f"GET {METRICS}: {MOST} is {most:g}, so the pool's size is unknown")
    sizes = exposition.samples.get(SIZE, ())  # of several, for several pools, none is judged
    return ServerPool(in_use, waiting, most, sizes[0].value if len(sizes) == 1 else 0.0)


class Database:
    """The gate's own session in the target's database, reopened after a failure."""

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._session: psycopg.AsyncConnection[tuple[int, ...]] | None = None

    async def sessions(self) -> Sessions:
        """Query PostgreSQL for the server's sessions. Raises NoSample."""
        try:
            self._session = self._session or await self._connect()
            row = await (await self._session.execute(_SESSIONS)).fetchone()
        except psycopg.Error as error:
            await self.aclose()
            raise NoSample(f"the gate's own session in the database: {' '.join(str(error).split())}") from error
        count, unreadable, idle, waiting = row or (0, 0, 0, 0)
        if not count:
            raise NoSample("no session of the application gaia_server in the database of DATABASE_URL")
        if unreadable:
            raise NoSample("the sessions' state is hidden from the gate's role; GRANT pg_monitor to it")
        return Sessions(count, idle, waiting)

    async def aclose(self) -> None:
        """Close the session, if there is one."""
        session, self._session = self._session, None
        if session:
            await session.close()

    async def _connect(self) -> psycopg.AsyncConnection[tuple[int, ...]]:
        if self._url is None:
            raise NoSample("the gate was given no DATABASE_URL")
        try:
            return await psycopg.AsyncConnection.connect(
                self._url,
                autocommit=True,
                connect_timeout=int(CONNECT_S),
                application_name=APPLICATION_NAME,
                options=options(self._url),
            )
        except psycopg.ProgrammingError:  # its text quotes the connection string with the password
            raise NoSample(NO_CONNECTION_STRING) from None
