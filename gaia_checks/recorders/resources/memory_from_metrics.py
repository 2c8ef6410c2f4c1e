"""Samples the memory of a server on another machine, from its own /metrics."""

import asyncio
import contextlib
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx

from gaia_checks.model import Measurement, Target
from gaia_checks.recorders.base import metrics_client
from gaia_checks.recorders.base.measurement_table import Measures
from gaia_checks.recorders.base.metrics_client import NoSample
from gaia_checks.recorders.base.process_start import STARTED
from gaia_checks.recorders.base.sampling import Coverage, ticks
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.recorders.resources.memory_samples import MemorySamples
from gaia_checks.target import addresses
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

_ANOTHER = "another process answered: the server was restarted, or has several processes: then name them as `instances`"
_SAME_S = 5.0  # the reported start of one process varies by less


async def record(
    target: Target, timeline: Timeline, stop: asyncio.Event, *, window_s: float, interval_s: float
) -> list[Measurement]:
    """Sample every `interval_s` for `window_s`, each of the target's instances, as long as the same process answers.

    Answers of several processes in turn are unreliable: neither their peak nor their trend is the server's.
    """
    async with AsyncExitStack() as stack:
        sources = [
            _Source(
                at, await stack.enter_async_context(async_client(at)), MemorySamples(MEASURES, Coverage(interval_s))
            )
            for at in addresses.each(target)
        ]
        async for t in ticks(interval_s, window_s, stop):
            await asyncio.gather(*(each.sample(t) for each in sources))
            reliable = [each.samples for each in sources if not each.unreliable]
            if not reliable:
                break
            most = max(reliable, key=lambda one: one.last_mb)
            timeline.add(t, str(most), so_far=[one.peak() for one in reliable], tree_mb=most.last_mb)
    return [measurement for each in sources for measurement in each.measured()]


@dataclass
class _Source:
    """One address, and the samples of the process that answers there."""

    target: Target
    http: httpx.AsyncClient
    samples: MemorySamples
    unreliable: str = ""  # why
    _first_s: float | None = None  # when the process started

    async def sample(self, t_s: float) -> None:
        """Take the sample of `t_s`, unless the samples are unreliable."""
        if self.unreliable:
            return
        try:
            exposition = await metrics_client.read(self.http)
            self.samples.add(t_s, metrics_client.gauge(exposition, RESIDENT))
        except NoSample as why:
            note = self._unobservable(str(why))
            self.samples.notes += [note] if note not in self.samples.notes else []
            return
        started_s = _started_s(exposition, time.time())
        self._first_s = self._first_s or started_s
        if self._first_s and started_s and abs(started_s - self._first_s) > _SAME_S:
            self.unreliable = self._unobservable(_ANOTHER)

    def measured(self) -> list[Measurement]:
        """Return its measurements; of several instances each says whose it is."""
        measured = MEASURES.unobservable(self.unreliable) if self.unreliable else self.samples.measured()
        return [addresses.named(self.target, each) for each in measured]

    def _unobservable(self, why: str) -> str:
        return cannot_observe(self.target, "the server's memory", METRIC, HERE, metric=RESIDENT, why=why)


def _started_s(exposition: Exposition, now_s: float) -> float | None:
    """Return the start of the answering process; None when it is not reported. Pure."""
    with contextlib.suppress(NoSample):
        return metrics_client.gauge(exposition, STARTED)
    with contextlib.suppress(NoSample):
        return now_s - metrics_client.gauge(exposition, UPTIME)
    return None
