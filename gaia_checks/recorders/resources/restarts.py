"""Whether the server's process is what was released, and stays the same one.

The gate itself looks at both again when all else has ended.
"""

import asyncio

from gaia_checks.model import Measurement, Target
from gaia_checks.recorders.base.measurement_table import Measures
from gaia_checks.recorders.base.sampling import ticks
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.target.samples import Watch
from gaia_checks.target.server_process import digest, find
from gaia_checks.target.unobservable import HERE, unseen

MEASURES = Measures(
    {"process.restarts": ("count", "whether the process seen at the beginning was gone when looked for every second")}
)

_EVERY_S = 1.0


async def record(target: Target, timeline: Timeline, told: asyncio.Event, *, window_s: float) -> list[Measurement]:
    """See what it runs, then look for the process every second until told, or until it is gone."""
    if target.process is None:
        return MEASURES.unseen(unseen(target, "the server's process", HERE))
    identity = asyncio.create_task(asyncio.to_thread(digest, target, target.process, Watch()))
    samples, gone = 0, list[str]()
    async for t in ticks(_EVERY_S, window_s, told):
        samples += 1
        if find(target.process) is None:
            gone.append(f"process {target.process.pid} was gone {t:.0f} s after the gate began to look")
        seen = MEASURES.seen("process.restarts", len(gone), n=samples, window_s=t, notes=gone)
        timeline.add(t, gone[0] if gone else f"process {target.process.pid} runs", so_far=[seen, *_known(identity)])
        if gone:
            break
    return [seen, *_known(identity)]


def _known(identity: "asyncio.Task[Measurement]") -> list[Measurement]:
    """Return what is known by now: a server that does not answer must not keep us."""
    return [identity.result()] if identity.done() else []
