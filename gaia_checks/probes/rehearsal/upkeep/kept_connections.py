"""Whether a server's pool serves others while some requests wait for the database, and gets its connections back."""

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import psycopg

from gaia_checks.errors import Inconclusive
from gaia_checks.model import NOT_CHECKED, Measurement, Target
from gaia_checks.probes.rehearsal import moved_admissions
from gaia_checks.probes.rehearsal.copy_protocol import BareCopyProtocol
from gaia_checks.probes.rehearsal.counted_rules import counting
from gaia_checks.target import prometheus_text
from gaia_checks.target.client import client
from gaia_checks.target.responses import CONFIG, METRICS, USAGE
from gaia_checks.target.samples import Score, Watch

UNITS = {"connections.others_served": "count", "connections.kept_by_retention": "count"}

IN_USE, MOST = "gaia_database_pool_in_use", "gaia_database_pool_max"

_WAITING = 4  # requests that wait for the database: others are served all the same
_WAIT_S = 5.0  # until they wait
_TRIES = 3  # the server gives up after about 2 s, in which this machine may stall
_RUNS = 3  # of the retention
_READINGS = 20
_POLL_S = 0.05
_LOCKED = """
    SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'gaia_server'
"""


def measured(place: BareCopyProtocol, target: Target, over: threading.Event) -> Iterator[Measurement]:
    """Yield `connections.kept_by_retention` of the server `target`, and `connections.others_served` of another one."""
    yield _kept_by_retention(target, over)
    unlimited = place.start(RATE_LIMIT_ENABLED="false").target  # the lock would hold up every decision
    yield _others_served(unlimited, over)


def _others_served(target: Target, over: threading.Event) -> Measurement:
    """Let some requests wait for a lock, and send others that need the database but not what is locked."""
    watch, how = (
        Watch(),
        f"requests answered while {_WAITING} others wait for a lock in the database; the pool's figures",
    )
    tally = Score()
    for _ in range(_TRIES):
        tally = Score()
        with _locked(target) as session, ThreadPoolExecutor(_WAITING) as pool, client(target) as http:
            waiting = [pool.submit(_get, target, USAGE) for _ in range(_WAITING)]
            if not _until_waiting(session, over):
                why = f"{NOT_CHECKED}no GET {USAGE} waits for a lock on rate_limit_admissions"
                return watch.measurement("connections.others_served", 0, "count", 0, how, (why,))
            tally.add(_wrong_pool(http))
            tally.add(_wrong_answer(http, waiting))
            session.rollback()
        if not tally.wrong:
            break
    return watch.counted("connections.others_served", tally, how)


def _wrong_answer(http: httpx.Client, waiting: list[Future[int]]) -> str | None:
    started_s = time.monotonic()
    try:
        status = http.get(CONFIG, params={"limit": 1}).status_code
        answer = f"status {status}"
    except httpx.HTTPError as error:
        status, answer = 0, f"no answer ({type(error).__name__})"
    if status == 200 and not all(each.done() for each in waiting):
        return None
    after = f"{answer} after {time.monotonic() - started_s:.1f} s"
    return f"GET {CONFIG}: {after}, while {_WAITING} requests waited for the database: it waited for them"


def _wrong_pool(http: httpx.Client) -> str | None:
    in_use, most = (_gauge(http, name) for name in (IN_USE, MOST))
    if in_use is None or most is None or in_use <= most:
        return None
    return f"{MOST} is {most:g}, and {in_use:g} connections are in use ({IN_USE})"


def _get(target: Target, path: str) -> int:
    with client(target) as http, contextlib.suppress(httpx.HTTPError):
        return http.get(path, params={"limit": 1}).status_code
    return 0


@contextmanager
def _locked(target: Target) -> Iterator[psycopg.Connection]:
    """Lock what the contract's view shows, until the session rolls back. Raises Inconclusive."""
    with moved_admissions.session_of(target, autocommit=False) as session:
        session.execute("LOCK TABLE rate_limit_admissions IN ACCESS EXCLUSIVE MODE")
        yield session


def _until_waiting(session: psycopg.Connection, over: threading.Event) -> bool:
    """Wait until a request waits for the lock, and then until all do, or their pool has no connection for more."""
    deadline, found = time.monotonic() + _WAIT_S, 0
    while time.monotonic() < deadline and found < _WAITING:
        row = session.execute(_LOCKED).fetchone()
        if row and row[0] < found:
            break  # the first ones gave up: no more will come
        found = row[0] if row else 0
        _pause(over)
    return found > 0


def _kept_by_retention(target: Target, over: threading.Event) -> Measurement:
    """Let the retention run some times; afterwards the pool must be as free as before."""
    watch, name, runs = Watch(), "connections.kept_by_retention", 0
    how = f"connections of the pool in use, before and after {_RUNS} runs of the retention"
    with client(target, keyed=False) as http, counting(target) as counts:
        counts.known()
        before = _fewest_in_use(http, over)
        if before is None:
            return watch.measurement(name, 0, "count", 0, how, (f"{NOT_CHECKED}/metrics does not report {IN_USE}",))
        while runs < _RUNS:
            idle = counts.rule(f"upkeep-idle-{runs}", "requests_per_hour", 1)
            if not moved_admissions.retention_ran(target, counts, idle):
                break
            runs += 1
        after = _fewest_in_use(http, over, enough=before)
    if not runs or after is None:
        why = "the server did not run its retention within seconds (RETENTION_INTERVAL_S, docs/contract.md)"
        return watch.measurement(name, 0, "count", 0, how, (f"{NOT_CHECKED}{why}",))
    kept = max(0, int(after - before))
    notes = (f"{IN_USE} {before:g} -> {after:g} by {runs} runs of the retention",) if kept else ()
    return watch.measurement(name, kept, "count", runs, how, notes)


def _fewest_in_use(http: httpx.Client, over: threading.Event, enough: float = 0) -> float | None:
    """Return the fewest connections in use over some readings, or the first that are few enough."""
    found: list[float] = []
    for _ in range(_READINGS):
        if (value := _gauge(http, IN_USE)) is not None:
            found.append(value)
            if value <= enough:
                break
        _pause(over)
    return min(found, default=None)


def _gauge(http: httpx.Client, name: str) -> float | None:
    with contextlib.suppress(httpx.HTTPError, ValueError):
        samples = prometheus_text.read(http.get(METRICS).text).samples.get(name, ())
        return samples[0].value if len(samples) == 1 else None
    return None


def _pause(over: threading.Event) -> None:
    if over.wait(_POLL_S):
        raise Inconclusive("the gate was over before the pool was looked at")
