"""Whether the server's process is the same all the time; the gate itself looks at it again when all else has ended."""

import asyncio

from gaia_checks.model import Measurement, Target
from gaia_checks.probes.process import find
from gaia_checks.probes.unseen import HERE, unseen
from gaia_checks.recorders.measures import Measures
from gaia_checks.recorders.sampling import ticks
from gaia_checks.recorders.timeline import Timeline

MEASURES = Measures(
    {"process.restarts": ("count", "whether the process seen at the beginning was gone when looked for every second")}
)

_EVERY_S = 1.0


async def record(target: Target, timeline: Timeline, told: asyncio.Event, *, window_s: float) -> list[Measurement]:
    """Look for the process every second until told, or until it is gone."""
    if target.process is None:
        return MEASURES.unseen(unseen(target, "the server's process", HERE))
    samples, gone = 0, list[str]()
    async for t in ticks(_EVERY_S, window_s, told):
        samples += 1
        if find(target.process) is None:
            gone.append(f"process {target.process.pid} was gone {t:.0f} s after the gate began to look")
        seen = MEASURES.seen("process.restarts", len(gone), n=samples, window_s=t, notes=gone)
        timeline.add(t, gone[0] if gone else f"process {target.process.pid} runs", so_far=[seen])
        if gone:
            break
    return [seen]
