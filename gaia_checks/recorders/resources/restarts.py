"""Whether the server's process runs the release, and stays the same process.

The gate checks both again after everything else has finished.
"""

import asyncio

from gaia_checks.model import Measurement, Target
from gaia_checks.recorders.base.measurement_table import Measures
from gaia_checks.recorders.base.sampling import ticks
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.target.samples import Watch
from gaia_checks.target.server_process import digest, find
from gaia_checks.target.unobservable import HERE, cannot_observe

MEASURES = Measures(
    {"process.restarts": ("count", "whether the process observed at the start was gone, checked every second")}
)

_EVERY_S = 1.0


async def record(target: Target, timeline: Timeline, stop: asyncio.Event, *, window_s: float) -> list[Measurement]:
    """Check the executable, then check the process every second until `stop`, or until it is gone."""
    if target.process is None:
        return MEASURES.unobservable(cannot_observe(target, "the server's process", HERE))
    identity = asyncio.create_task(asyncio.to_thread(digest, target, target.process, Watch()))
    samples, gone = 0, list[str]()
    async for t in ticks(_EVERY_S, window_s, stop):
        samples += 1
        if find(target.process) is None:
            gone.append(f"process {target.process.pid} was gone {t:.0f} s after the gate started")
        restarts = MEASURES.measurement("process.restarts", len(gone), n=samples, window_s=t, notes=gone)
        timeline.add(t, gone[0] if gone else f"process {target.process.pid} runs", so_far=[restarts, *_known(identity)])
        if gone:
            break
    return [restarts, *_known(identity)]


def _known(identity: "asyncio.Task[Measurement]") -> list[Measurement]:
    """Return the digest if it is known by now: a server that does not answer must not delay the end."""
    return [identity.result()] if identity.done() else []
