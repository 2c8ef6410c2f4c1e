"""CPU use and CPU starvation of the generator: a starved generator measures itself, not the server."""

import time
from pathlib import Path
from typing import NamedTuple

import psutil

_SCHEDULED = Path("/proc/self/schedstat")


class Shares(NamedTuple):
    """Shares of one time interval."""

    cpu: float  # of one core, used by this process
    steal: float  # of all cores, taken by other machines on the same hardware; 0 where it is not reported
    waited: float  # share of time in which the main thread was runnable without a core; 0 outside Linux


class GeneratorUsage:
    """Computes the shares since the last call."""

    def __init__(self) -> None:
        self._last = _read()

    def shares(self) -> Shares:
        """Return the shares since the last call, or since the start."""
        before, self._last = self._last, _read()
        wall_s, cpu_s, steal_s, waited_s = (now - then for now, then in zip(self._last, before, strict=True))
        cores = psutil.cpu_count() or 1
        return Shares(cpu_s / wall_s, steal_s / wall_s / cores, waited_s / wall_s)


def _read() -> tuple[float, float, float, float]:
    steal_s = float(getattr(psutil.cpu_times(), "steal", 0.0))
    return time.monotonic(), time.process_time(), steal_s, _waited_s()


def _waited_s() -> float:
    """Return how long the main thread was runnable without a core (Linux: the second field of schedstat, in ns)."""
    try:
        return int(_SCHEDULED.read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
