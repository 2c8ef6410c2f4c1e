"""How much memory the server's process tree holds, sampled; without PostgreSQL, which is no child of it."""

import asyncio
import contextlib
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


async def record(target: Target, timeline: Timeline, *, window_s: float, interval_s: float) -> list[Measurement]:
    """Sample every `interval_s` for `window_s`. Ends early, and says so, when the process is gone."""
    if target.process is None:
        return MEASURES.unseen(
            "the server's process is not known here; run the gate on the machine where `gaia deploy` started it"
        )
    coverage, notes, peak_mb = Coverage(interval_s), list[str](), 0.0
    series: Series = []
    async for t in ticks(interval_s, window_s):
        process = find(target.process)
        held = await asyncio.to_thread(tree_bytes, process) if process else None
        if held is None:
            notes.append(f"process {target.process.pid} was gone after {t:.0f} s")
            break
        coverage.add(t)
        series.append((round(t, 3), held / _MB))
        peak_mb = max(peak_mb, held / _MB)
        timeline.add(t, f"{held / _MB:.1f} MB, at most {peak_mb:.1f} MB", tree_mb=held / _MB)
    points = thin(series)
    return [
        MEASURES.seen("memory.peak", peak_mb, n=coverage.n, window_s=coverage.covered_s, notes=notes),
        MEASURES.seen("memory.series", points, n=len(points), window_s=coverage.covered_s, notes=notes),
    ]


def thin(series: Series, most: int = MOST_POINTS) -> Series:
    """Return every k-th point, so that at most `most` remain; evenly, so that a trend stays what it is. Pure."""
    return series[:: -(-len(series) // most) or 1]


def tree_bytes(process: psutil.Process) -> int | None:
    """Return what `process` and its descendants hold, in bytes; None when it is gone.

    Proportional set size: a page shared by three processes counts a third for each. Where that cannot be
    read (not our process, not Linux) it is the resident set size, which is never less.
    """
    try:
        total = _bytes(process)
        children = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return None
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += _bytes(child)
    return total


def _bytes(process: psutil.Process) -> int:
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) * _KB for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        resident: int = process.memory_info().rss
        return resident
