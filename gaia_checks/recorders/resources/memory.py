"""What the server's process tree takes, sampled: memory, and CPU beside it. Without PostgreSQL, no child of it."""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path

import psutil

from gaia_checks.model import Measurement, Target
from gaia_checks.recorders.base.measurement_table import Measures
from gaia_checks.recorders.base.sampling import Coverage, ticks
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.recorders.resources import memory_from_metrics
from gaia_checks.recorders.resources.memory_samples import Held
from gaia_checks.target.server_process import find

MEASURES = Measures(
    {
        "memory.peak": ("MB", "highest sample of the server's process tree, shared pages divided by their users (PSS)"),
        "memory.series": (
            "MB",
            "what the server's process tree alone has, plus the most of what it shares, over the seconds of the look",
        ),
    }
)

_KB = 1024  # as the kernel counts


async def record(
    target: Target, timeline: Timeline, told: asyncio.Event, *, window_s: float, interval_s: float
) -> list[Measurement]:
    """Sample every `interval_s` for `window_s`. Ends early, and says so, when the process is gone.

    Of a process that is not on this machine, what the server tells itself is taken.
    """
    if target.process is None:
        return await memory_from_metrics.record(target, timeline, told, window_s=window_s, interval_s=interval_s)
    held, cpu = Held(MEASURES, Coverage(interval_s)), Cpu()
    async for t in ticks(interval_s, window_s, told):
        process = find(target.process)
        taken = await asyncio.to_thread(tree, process) if process else None
        if taken is None:
            held.notes.append(f"process {target.process.pid} was gone after {t:.0f} s")
            break
        held.add(t, taken.held_bytes, taken.shared_bytes)
        timeline.add(t, str(held), so_far=[held.peak()], tree_mb=held.last_mb, cpu_cores=cpu.since_last(t, taken.cpu_s))
    return held.measured()


@dataclass(frozen=True, slots=True)
class Taken:
    """What a process and its descendants take."""

    held_bytes: int
    shared_bytes: int  # of these, pages of files: others may have mapped them as well
    cpu_s: float  # since they began


@dataclass(slots=True)
class Cpu:
    """Cores in use between two samples. Pure."""

    _last: tuple[float, float] | None = None

    def since_last(self, t_s: float, cpu_s: float) -> float:
        """Return how many cores were busy since the last sample; 0 at the first, or when a descendant has ended."""
        last, self._last = self._last, (t_s, cpu_s)
        return max(0.0, cpu_s - last[1]) / (t_s - last[0]) if last and t_s > last[0] else 0.0


def tree(process: psutil.Process) -> Taken | None:
    """Return what `process` and its descendants take; None when it is gone.

    Memory is the proportional set size: a page shared by three processes counts a third for each. Where that cannot
    be read (not our process, not Linux) it is the resident set size, which is never less.
    """
    try:
        taken, children = [_one(process)], process.children(recursive=True)
    except psutil.NoSuchProcess:
        return None
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            taken.append(_one(child))
    return Taken(
        sum(each.held_bytes for each in taken),
        sum(each.shared_bytes for each in taken),
        sum(each.cpu_s for each in taken),
    )


def _one(process: psutil.Process) -> Taken:
    """Return what a process takes without its descendants."""
    held, shared = _bytes(process)
    times = process.cpu_times()
    return Taken(held, shared, float(times.user + times.system))


def _bytes(process: psutil.Process) -> tuple[int, int]:
    """Return what a process holds and how much of that are pages of files."""
    try:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii", errors="replace")
    except OSError:
        text = ""
    found = {line.split()[0]: int(line.split()[1]) * _KB for line in text.splitlines() if line.startswith("Pss")}
    if "Pss:" in found:
        return found["Pss:"], found.get("Pss_File:", 0)
    return process.memory_info().rss, 0
