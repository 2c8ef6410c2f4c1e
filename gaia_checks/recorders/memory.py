"""What the server's process tree takes, sampled: memory, and CPU beside it. Without PostgreSQL, no child of it."""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path

import psutil

from gaia_checks.model import Measurement, Target
from gaia_checks.probes.process import find
from gaia_checks.recorders.measures import Measures
from gaia_checks.recorders.sampling import Coverage, ticks
from gaia_checks.recorders.timeline import Timeline

MEASURES = Measures(
    {
        "memory.peak": ("MB", "highest sample of the server's process tree, shared pages divided by their users (PSS)"),
        "memory.series": ("MB", "samples of the server's process tree (PSS) over the seconds since the start"),
    }
)

MOST_POINTS = 2000
_MB = 1e6
_KB = 1024  # as the kernel counts

Series = list[tuple[float, float]]
"""(seconds since the start, MB)"""


async def record(
    target: Target, timeline: Timeline, told: asyncio.Event, *, window_s: float, interval_s: float
) -> list[Measurement]:
    """Sample every `interval_s` for `window_s`. Ends early, and says so, when the process is gone."""
    if target.process is None:
        return MEASURES.unseen(
            "the server's process is not known here; run the gate on the machine where `gaia deploy` started it"
        )
    coverage, notes, peak_mb, cpu = Coverage(interval_s), list[str](), 0.0, Cpu()
    series: Series = []

    def peak() -> Measurement:
        return MEASURES.seen("memory.peak", peak_mb, n=coverage.n, window_s=coverage.covered_s, notes=notes)

    async for t in ticks(interval_s, window_s, told):
        process = find(target.process)
        taken = await asyncio.to_thread(tree, process) if process else None
        if taken is None:
            notes.append(f"process {target.process.pid} was gone after {t:.0f} s")
            break
        held_mb, cores = taken.held_bytes / _MB, cpu.since_last(t, taken.cpu_s)
        coverage.add(t)
        series.append((round(t, 3), held_mb))
        peak_mb = max(peak_mb, held_mb)
        worst = f"{held_mb:.1f} MB, at most {peak_mb:.1f} MB"
        timeline.add(t, worst, so_far=[peak()], tree_mb=held_mb, cpu_cores=cores)
    points = thin(series)
    return [
        peak(),
        MEASURES.seen("memory.series", points, n=len(points), window_s=coverage.covered_s, notes=notes),
    ]


def thin(series: Series, most: int = MOST_POINTS) -> Series:
    """Return every k-th point, so that at most `most` remain; evenly, so that a trend stays what it is. Pure."""
    return series[:: -(-len(series) // most) or 1]


@dataclass(frozen=True, slots=True)
class Taken:
    """What a process and its descendants take."""

    held_bytes: int
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
        held, cpu_s = _bytes(process), _cpu_s(process)
        children = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return None
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            held, cpu_s = held + _bytes(child), cpu_s + _cpu_s(child)
    return Taken(held, cpu_s)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _bytes(process: psutil.Process) -> int:
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) * _KB for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        resident: int = process.memory_info().rss
        return resident
