"""Samples the memory of a server on another machine, from its own /metrics."""

import asyncio
import contextlib
import time
from functools import partial

from gaia_checks.model import Measurement, Target
from gaia_checks.recorders.base import metrics_client
from gaia_checks.recorders.base.measurement_table import Measures
from gaia_checks.recorders.base.metrics_client import NoSample
from gaia_checks.recorders.base.process_start import STARTED
from gaia_checks.recorders.base.sampling import Coverage, ticks
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.recorders.resources.memory_samples import MemorySamples
from gaia_checks.target.client import async_client
from gaia_checks.target.prometheus_text import Exposition
from gaia_checks.target.unobservable import HERE, METRIC, cannot_observe

MEASURES = Measures(
    {
        "memory.peak": (
            "MB",
            "highest resident set size (RSS) of the one process that answers, from GET /metrics",
        ),
        "memory.series": ("MB", "resident set size (RSS) from GET /metrics, over the seconds since the start"),
    }
)
"""Shared pages count in full, child processes not at all."""

RESIDENT, UPTIME = "process_resident_memory_bytes", "gaia_uptime_seconds"

_SAME_S = 5.0  # the reported start of one process varies by less


async def record(
    target: Target, timeline: Timeline, stop: asyncio.Event, *, window_s: float, interval_s: float
) -> list[Measurement]:
    """Sample every `interval_s` for `window_s`, as long as the same process answers.

    Answers of several processes in turn are unreliable: neither their peak nor their trend is the server's.
    """
    unobservable = partial(cannot_observe, target, "the server's memory", METRIC, HERE, metric=RESIDENT)
    samples, first_s = MemorySamples(MEASURES, Coverage(interval_s)), None
    async with async_client(target) as http:
        async for t in ticks(interval_s, window_s, stop):
            try:
                exposition = await metrics_client.read(http)
                samples.add(t, metrics_client.gauge(exposition, RESIDENT))
            except NoSample as why:
                note = unobservable(why=str(why))
                samples.notes += [note] if note not in samples.notes else []
                continue
            started_s = _started_s(exposition, time.time())
            first_s = first_s or started_s
            if first_s and started_s and abs(started_s - first_s) > _SAME_S:
                return MEASURES.unobservable(
                    unobservable(why="another process answered: the server was restarted, or has several processes")
                )
            timeline.add(t, str(samples), so_far=[samples.peak()], tree_mb=samples.last_mb)
    return samples.measured()


def _started_s(exposition: Exposition, now_s: float) -> float | None:
    """Return the start of the answering process; None when it is not reported. Pure."""
    with contextlib.suppress(NoSample):
        return metrics_client.gauge(exposition, STARTED)
    with contextlib.suppress(NoSample):
        return now_s - metrics_client.gauge(exposition, UPTIME)
    return None
