"""How much of this machine's CPU others take: neither the target's own processes nor the gate's.

Where strangers take the cores, a slow answer says nothing about the server, and a load of it decides nothing.
"""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import psutil

from gaia_checks import journal
from gaia_checks.model import Measurement, Process

_EVERY_S = 1.0
_FAMILY_EVERY = 5  # samples between two looks at which processes there are
_POSTGRES = "postgres"  # the target's database, where it is on this machine


@dataclass
class Machine:
    """Samples about once a second."""

    target: Process | None
    gate: int = field(default_factory=os.getppid)  # the process that started this one
    shares: list[float] = field(default_factory=list)  # of all cores, taken by others, per sample
    _sampled_s: float = 0.0
    _last: "_Sample | None" = None

    def sample(self) -> None:
        """Sample, unless the last one is younger than a second."""
        now_s = time.monotonic()
        if now_s - self._sampled_s < _EVERY_S:
            return
        self._sampled_s = now_s
        if self._last is None or len(self.shares) % _FAMILY_EVERY == 0:
            ours = _family(self.gate, self.target.pid if self.target else None)
        else:
            ours = self._last.ours
        sample = _Sample(now_s, _busy_s(), ours, _cpu_s(ours))
        if self._last is not None:
            self.shares.append(taken_by_others(self._last, sample, psutil.cpu_count() or 1))
        self._last = sample

    def measurement(self, look: str, window_s: float) -> Measurement:
        """Return the p95 of what others took, of all seconds so far."""
        ordered = sorted(self.shares)
        value = round(ordered[int(0.95 * (len(ordered) - 1))], 4) if ordered else None
        how = "p95 of the share of all cores taken by processes that are neither the target's nor the gate's"
        return Measurement(f"{look}.cpu_of_others", value, "ratio", len(ordered), window_s, journal.now(), how)


@dataclass(frozen=True, slots=True)
class _Sample:
    now_s: float
    busy_s: float  # of all cores, since the machine started
    ours: frozenset[int]
    cpu_s: Mapping[int, float]  # pid -> what it has used


def taken_by_others(before: _Sample, after: _Sample, cores: int) -> float:
    """Return the share of all cores that neither sample's processes used between them. Pure."""
    ours_s = sum(used_s - before.cpu_s.get(pid, 0.0) for pid, used_s in after.cpu_s.items())
    return max(0.0, after.busy_s - before.busy_s - ours_s) / (after.now_s - before.now_s) / cores


def _family(*roots: int | None) -> frozenset[int]:
    """Return the processes below the roots, and PostgreSQL's."""
    parents: dict[int, int] = {}
    ours = {root for root in roots if root is not None}
    for process in psutil.process_iter(["ppid", "name"]):
        parents[process.pid] = process.info["ppid"]
        if process.info["name"] == _POSTGRES:
            ours.add(process.pid)
    return frozenset(pid for pid in parents if not ours.isdisjoint(_line(pid, parents)))


def _line(pid: int, parents: Mapping[int, int]) -> Iterable[int]:
    """Yield a process and its ancestors."""
    seen: set[int] = set()
    while pid and pid not in seen:
        seen.add(pid)
        yield pid
        pid = parents.get(pid, 0)


def _cpu_s(pids: Iterable[int]) -> dict[int, float]:
    used: dict[int, float] = {}
    for pid in pids:
        try:
            times = psutil.Process(pid).cpu_times()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        used[pid] = times.user + times.system
    return used


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq")))
