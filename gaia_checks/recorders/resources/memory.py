"""Samples the memory and CPU of the server's process tree. PostgreSQL is no child of it and does not count."""

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
from gaia_checks.recorders.resources.memory_samples import MemorySamples
from gaia_checks.target.server_process import find

MEASURES = Measures(
    {
        "memory.peak": ("MB", "highest sample of the server's process tree, shared pages divided by their users (PSS)"),
        "memory.series": (
            "MB",
            "private memory of the server's process tree, plus the maximum of its shared memory, over the window",
        ),
    }
)

_KB = 1024  # of the kernel


async def record(
    target: Target, timeline: Timeline, stop: asyncio.Event, *, window_s: float, interval_s: float
) -> list[Measurement]:
    """Sample every `interval_s` for `window_s`. Stops early, with a note, when the process is gone.

    For a process on another machine, and for several instances, the server's own metrics are sampled.
    """
    if target.process is None or target.instances:
        return await memory_from_metrics.record(target, timeline, stop, window_s=window_s, interval_s=interval_s)
    samples, cpu = MemorySamples(MEASURES, Coverage(interval_s)), Cpu()
    async for t in ticks(interval_s, window_s, stop):
        process = find(target.process)
        usage = await asyncio.to_thread(tree, process) if process else None
        if usage is None:
            samples.notes.append(f"process {target.process.pid} was gone after {t:.0f} s")
            break
        samples.add(t, usage.total_bytes, usage.shared_bytes)
        timeline.add(
            t, str(samples), so_far=[samples.peak()], tree_mb=samples.last_mb, cpu_cores=cpu.since_last(t, usage.cpu_s)
        )
    return samples.measured()


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """The memory and CPU of a process and its descendants."""

    total_bytes: int
    shared_bytes: int  # of these, file pages, which other processes may map as well
    cpu_s: float  # since their start


@dataclass(slots=True)
class Cpu:
    """Cores in use between two samples. Pure."""

    _last: tuple[float, float] | None = None

    def since_last(self, t_s: float, cpu_s: float) -> float:
        """Return how many cores were busy since the last sample; 0 at the first, or when a descendant has exited."""
        last, self._last = self._last, (t_s, cpu_s)
        return max(0.0, cpu_s - last[1]) / (t_s - last[0]) if last and t_s > last[0] else 0.0


def tree(process: psutil.Process) -> ProcessUsage | None:
    """Return the usage of `process` and its descendants; None when it is gone.

    Memory is the proportional set size: a page shared by three processes counts a third for each. Where that is
    unreadable (another user's process, not Linux) it is the resident set size, which is never less.
    """
    try:
        usages, children = [_one(process)], process.children(recursive=True)
    except psutil.NoSuchProcess:
        return None
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            usages.append(_one(child))
    return ProcessUsage(
        sum(each.total_bytes for each in usages),
        sum(each.shared_bytes for each in usages),
        sum(each.cpu_s for each in usages),
    )


def _one(process: psutil.Process) -> ProcessUsage:
    """Return the usage of a process without its descendants."""
    total, shared = _bytes(process)
    times = process.cpu_times()
    return ProcessUsage(total, shared, float(times.user + times.system))


def _bytes(process: psutil.Process) -> tuple[int, int]:
    """Return a process's memory in bytes, and how much of it is file pages."""
    try:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii", errors="replace")
    except OSError:
        text = ""
    found = {line.split()[0]: int(line.split()[1]) * _KB for line in text.splitlines() if line.startswith("Pss")}
    if "Pss:" in found:
        return found["Pss:"], found.get("Pss_File:", 0)
    return process.memory_info().rss, 0
