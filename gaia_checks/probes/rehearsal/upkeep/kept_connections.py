"""Whether a server's pool serves others while some requests wait for the database, and gets its connections back."""

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx

from gaia_checks.errors import Inconclusive
from gaia_checks.model import NOT_CHECKED, Measurement, Target
from gaia_checks.probes.rehearsal import locked_admissions, moved_admissions
from gaia_checks.probes.rehearsal.copy_protocol import BareCopyProtocol
from gaia_checks.probes.rehearsal.counted_rules import counting
from gaia_checks.probes.rehearsal.locked_admissions import Locked
from gaia_checks.target import gauges
from gaia_checks.target.client import client
from gaia_checks.target.responses import CONFIG, USAGE
from gaia_checks.target.samples import Score, Watch

SERVED, KEPT = "connections.others_served", "connections.kept_by_retention"
UNITS = {SERVED: "count", KEPT: "count"}

IN_USE, MOST = "gaia_database_pool_in_use", "gaia_database_pool_max"

_WAITING = 4  # requests that wait for the database, where the pool has a connection for others beside them
_WAIT_S = 5.0  # until they wait
_TRIES = 3  # the server gives up after about 2 s, in which this machine may stall
_RUNS = 3  # of the retention
_READINGS = 40  # 2 s at least: a server may count its connections every second
_POLL_S = 0.05


def others_served(place: BareCopyProtocol, over: threading.Event) -> Measurement:
    """Let some requests wait for a lock, and send others that need the database but not what is locked.

    The server limits nothing, because the lock would hold up every decision. No other server may use the database
    meanwhile in a way that waits for the lock as well. Raises GaiaError.
    """
    target, watch, tally = place.start(RATE_LIMIT_ENABLED="false").target, Watch(), Score()
    with client(target) as http:
        most = _gauge(http, MOST)
    waiting = 1 if most is None else max(1, min(_WAITING, int(most) - 1))
    how = f"requests answered while others wait for a lock in the database, at first {waiting}; the pool's figures"
    for _ in range(_TRIES):
        tally = Score()
        with locked_admissions.locked(target) as lock, ThreadPoolExecutor(_WAITING + 1) as pool, client(target) as http:
            requests = [pool.submit(_get, target, USAGE) for _ in range(waiting)]
            if not _until_waiting(lock, waiting, over):
                why = f"{NOT_CHECKED}no GET {USAGE} waits for a lock on rate_limit_admissions"
                return watch.measurement(SERVED, 0, "count", 0, how, (why,))
            tally.add(_wrong_answer(http, requests))
            for _ in range(_WAITING + 1 - waiting):  # more than a smaller pool has
                pool.submit(_get, target, USAGE)
            _until_waiting(lock, _WAITING + 1, over)
            for wrong in _pool(http):
                tally.add(wrong)
            lock.release()
        if not tally.wrong:
            break
    return watch.counted(SERVED, tally, how)


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
    return f"GET {CONFIG}: {after}, beside {len(waiting)} that waited for the database: it waited for them"


def _pool(http: httpx.Client) -> Iterator[str | None]:
    """Yield the fault of the pool's figures; nothing where they are not reported."""
    in_use, most = (_gauge(http, name) for name in (IN_USE, MOST))
    if in_use is not None and most is not None:
        yield None if in_use <= most else f"{MOST} is {most:g}, and {in_use:g} connections are in use ({IN_USE})"


def _get(target: Target, path: str) -> int:
    with client(target) as http, contextlib.suppress(httpx.HTTPError):
        return http.get(path, params={"limit": 1}).status_code
    return 0


def _until_waiting(lock: Locked, enough: int, over: threading.Event) -> int:
    """Return how many sessions wait for the lock at once: enough, or all that do before the first ones give up."""
    deadline, most = time.monotonic() + _WAIT_S, 0
    while time.monotonic() < deadline and most < enough:
        if (found := len(lock.waiting())) < most:
            break
        most = found
        _pause(over)
    return most


def kept_by_retention(place: BareCopyProtocol, over: threading.Event) -> Measurement:
    """Let the retention run some times; afterwards the pool must be as free as before. Raises GaiaError."""
    target, watch, runs = place.start(None, **moved_admissions.RETENTION).target, Watch(), 0
    how = f"connections of the pool in use, before and after {_RUNS} runs of the retention"
    with client(target, keyed=False) as http, counting(target) as counts:
        counts.known()
        before = _fewest_in_use(http, over)
        if before is None:
            return watch.measurement(KEPT, 0, "count", 0, how, (f"{NOT_CHECKED}/metrics does not report {IN_USE}",))
        while runs < _RUNS:
            idle = counts.rule(f"upkeep-idle-{runs}", "requests_per_hour", 1)
            if not moved_admissions.retention_ran(target, counts, idle):
                break
            runs += 1
        after = _fewest_in_use(http, over, enough=before)
    if not runs or after is None:
        why = "the server did not run its retention within seconds (RETENTION_INTERVAL_S, docs/contract.md)"
        return watch.measurement(KEPT, 0, "count", 0, how, (f"{NOT_CHECKED}{why}",))
    kept = max(0, int(after - before))
    notes = (f"{IN_USE} {before:g} -> {after:g} by {runs} runs of the retention",) if kept else ()
    return watch.measurement(KEPT, kept, "count", runs, how, notes)


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
        return gauges.read(http, name)
    return None


def _pause(over: threading.Event) -> None:
    if over.wait(_POLL_S):
        raise Inconclusive("the gate was over before the pool was looked at")
