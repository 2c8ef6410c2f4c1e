"""Samples what the target's process holds open until the gate ends: descriptors, threads, database sessions.

Established connections do not count: their number is the clients' affair, and a rising one no leak. A connection that
the client has closed and the server has not counts.
"""

import asyncio
import contextlib

import psutil

from gaia_checks.model import NOT_CHECKED, Measurement, Target
from gaia_checks.recorders.base.measurement_table import Measures
from gaia_checks.recorders.base.metrics_client import NoSample
from gaia_checks.recorders.base.sampling import Coverage, ticks
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.recorders.resources.connections import Database
from gaia_checks.recorders.resources.memory_samples import Series, thin
from gaia_checks.target.server_process import find
from gaia_checks.target.unobservable import DATABASE, HERE, USER, cannot_observe

DESCRIPTORS, THREADS, SESSIONS = (
    "resources.target_descriptors",
    "resources.target_threads",
    "resources.target_sessions",
)

MEASURES = Measures(
    {
        DESCRIPTORS: ("descriptors", "descriptors of the target's process tree, without established connections"),
        THREADS: ("threads", "threads of the target's process tree"),
        SESSIONS: ("sessions", "the target's database sessions"),
    }
)

_EVERY_S = 10.0


async def record(target: Target, timeline: Timeline, stop: asyncio.Event, *, window_s: float) -> list[Measurement]:
    """Sample every 10 s for `window_s`, or until the process is gone."""
    if target.process is None:
        return MEASURES.unobservable(NOT_CHECKED + cannot_observe(target, "the server's process", HERE))
    coverage, series = Coverage(_EVERY_S), dict[str, Series]()
    async with contextlib.aclosing(Database(target.database_url)) as database:
        async for t in ticks(_EVERY_S, window_s, stop):
            if (process := find(target.process)) is None:
                break
            try:
                counts = await asyncio.to_thread(of_tree, process)
            except psutil.Error as error:
                why = cannot_observe(target, "the server's process", USER, why=str(error))
                return MEASURES.unobservable(f"{NOT_CHECKED}{why}")
            with contextlib.suppress(NoSample):
                counts[SESSIONS] = (await database.sessions()).count
            coverage.add(t)
            for name, count in counts.items():
                series.setdefault(name, []).append((round(t, 3), count))
            numbers = {name.removeprefix("resources.target_"): count for name, count in counts.items()}
            now = ", ".join(f"{count:.0f} {name}" for name, count in numbers.items())
            timeline.add(t, now, so_far=(), **numbers)
    return [_measured(target, name, thin(series.get(name, [])), coverage) for name in MEASURES.table]


def of_tree(process: psutil.Process) -> dict[str, float]:
    """Return the counts of `process` and its descendants. Raises psutil.Error."""
    descriptors, threads = _of_one(process)
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            of_child = _of_one(child)
            descriptors, threads = descriptors + of_child[0], threads + of_child[1]
    return {DESCRIPTORS: descriptors, THREADS: threads}


def _of_one(process: psutil.Process) -> tuple[int, int]:
    established = [each for each in process.net_connections("tcp") if each.status == psutil.CONN_ESTABLISHED]
    return process.num_fds() - len(established), process.num_threads()


def _measured(target: Target, name: str, series: Series, coverage: Coverage) -> Measurement:
    why = cannot_observe(target, "the target's database sessions", DATABASE)
    notes = () if series else (f"{NOT_CHECKED}{why}",)
    return MEASURES.measurement(name, series, n=len(series), window_s=coverage.covered_s, notes=notes)
