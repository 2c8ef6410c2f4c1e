"""How much memory a server holds of which no process is known here: what it tells of itself at /metrics, sampled."""

import asyncio
import contextlib
import time
from functools import partial

from gaia_checks.model import Measurement, Target
from gaia_checks.recorders.base import metrics_client
from gaia_checks.recorders.base.measurement_table import Measures
from gaia_checks.recorders.base.metrics_client import Unseen
from gaia_checks.recorders.base.process_start import STARTED
from gaia_checks.recorders.base.sampling import Coverage, ticks
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.recorders.resources.memory_samples import Held
from gaia_checks.target.client import async_client
from gaia_checks.target.prometheus_text import Exposition
from gaia_checks.target.unobservable import HERE, TOLD, unseen

MEASURES = Measures(
    {
        "memory.peak": (
            "MB",
            "highest resident set size (RSS) of the one process that answers, as GET /metrics tells it",
        ),
        "memory.series": ("MB", "resident set size (RSS) as GET /metrics tells it, over the seconds since the start"),
    }
)
"""Shared pages count in full, child processes not at all."""

RESIDENT, UPTIME = "process_resident_memory_bytes", "gaia_uptime_seconds"

_SAME_S = 5.0  # one process does not seem to have begun so much earlier or later than before


async def record(
    target: Target, timeline: Timeline, told: asyncio.Event, *, window_s: float, interval_s: float
) -> list[Measurement]:
    """Sample every `interval_s` for `window_s`, as long as it is always the same process that tells.

    What several tell in turn is not believed: neither their peak nor their trend is the server's.
    """
    cannot = partial(unseen, target, "the server's memory", TOLD, HERE, metric=RESIDENT)
    held, first_s = Held(MEASURES, Coverage(interval_s)), None
    async with async_client(target) as http:
        async for t in ticks(interval_s, window_s, told):
            try:
                said = await metrics_client.read(http)
                held.add(t, metrics_client.gauge(said, RESIDENT))
            except Unseen as why:
                note = cannot(why=str(why))
                held.notes += [note] if note not in held.notes else []
                continue
            began_s = _began_s(said, time.time())
            first_s = first_s or began_s
            if first_s and began_s and abs(began_s - first_s) > _SAME_S:
                return MEASURES.unseen(cannot(why="another process told: it was restarted, or is one of several"))
            timeline.add(t, str(held), so_far=[held.peak()], tree_mb=held.last_mb)
    return held.measured()


def _began_s(said: Exposition, now_s: float) -> float | None:
    """Return when the process that tells began; None when it does not say. Pure."""
    with contextlib.suppress(Unseen):
        return metrics_client.gauge(said, STARTED)
    with contextlib.suppress(Unseen):
        return now_s - metrics_client.gauge(said, UPTIME)
    return None
