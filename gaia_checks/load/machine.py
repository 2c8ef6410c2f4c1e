"""CPU use on this machine while a load runs: by the server, the load generator, the gate itself, and others.

Under CPU contention by other processes a slow response says nothing about the server, and a load decides nothing. For
the same reason the gate's own processes beside a load are kept small, and measured.
"""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import psutil

from gaia_checks import jsonl
from gaia_checks.model import Measurement, Process

SERVER, GENERATOR, GATE, OTHERS = "server", "generator", "gate", "others_mean"
"""Consumers, named in the measurements `<look>.cpu_of_<who>`. `cpu_of_others` is the p95, of all cores."""

_EVERY_S = 1.0
_SCAN_EVERY = 5  # samples between two scans of the process table
_POSTGRES = "postgres"  # the target's database, where it is on this machine
_COPY = "-rehearsal-"  # in the command line of the supervisor of a rehearsal copy, which is no descendant of the gate
_PYTHON = "python"

_WHO = {
    SERVER: "the server's processes and PostgreSQL",
    GENERATOR: "the load generator: locust and its parent process",
    GATE: "the gate's processes beside the load: pytest, recorders, observer, browser, rehearsal copies",
    OTHERS: "processes that are neither the target's nor the gate's",
}


@dataclass(frozen=True, slots=True)
class Taken:
    """CPU seconds that each consumer used between two samples."""

    began_s: float  # on the monotonic clock
    seconds: float
    cpu_s: Mapping[str, float]  # consumer -> CPU seconds

    @property
    def finished_s(self) -> float:
        """When the second sample was taken, on the monotonic clock."""
        return self.began_s + self.seconds


@dataclass
class Machine:
    """Samples the CPU use about once a second."""

    target: Process | None
    gate: int = field(default_factory=os.getppid)  # the process that started this one
    generator: int | None = field(default_factory=os.getpid)
    scan_every: int = _SCAN_EVERY
    shares: list[float] = field(default_factory=list)  # share of all cores used by others, per sample
    taken: list[Taken] = field(default_factory=list)
    _sampled_s: float = 0.0
    _last: "_Sample | None" = None

    def sample(self) -> None:
        """Sample, unless the last one is younger than a second."""
        now_s = time.monotonic()
        if now_s - self._sampled_s < _EVERY_S:
            return
        self._sampled_s = now_s
        if self._last is None or len(self.shares) % self.scan_every == 0:
            consumers = _family(self.gate, self.generator, self.target.pid if self.target else None)
        else:
            consumers = self._last.consumers
        sample = _Sample(now_s, _busy_s(), consumers, _cpu_s(consumers))
        if self._last is not None:
            taken, cores = taken_between(self._last, sample), psutil.cpu_count() or 1
            self.taken.append(taken)
            self.shares.append(taken.cpu_s[OTHERS] / taken.seconds / cores)
        self._last = sample

    def measurements(self, look: str, window_s: float, started_s: float | None = None) -> list[Measurement]:
        """Return the CPU use: others as the p95 of all seconds so far, each consumer as the mean since `started_s`."""
        whose = [who for who in _WHO if who != SERVER or self.target is not None]
        return [self._of_others(look, window_s), *(self._mean(who, look, window_s, started_s) for who in whose)]

    def _of_others(self, look: str, window_s: float) -> Measurement:
        ordered = sorted(self.shares)
        value = round(ordered[int(0.95 * (len(ordered) - 1))], 4) if ordered else None
        how = "p95 of the share of all cores taken by processes that are neither the target's nor the gate's"
        return Measurement(f"{look}.cpu_of_others", value, "ratio", len(ordered), window_s, jsonl.now(), how)

    def _mean(self, who: str, look: str, window_s: float, started_s: float | None) -> Measurement:
        during = [each for each in self.taken if started_s is None or each.began_s >= started_s] or self.taken
        seconds = sum(each.seconds for each in during)
        value = round(sum(each.cpu_s[who] for each in during) / seconds, 4) if during else None
        how = f"mean share of one core taken by {_WHO[who]}"
        return Measurement(f"{look}.cpu_of_{who}", value, "ratio", len(during), window_s, jsonl.now(), how)


@dataclass(frozen=True, slots=True)
class _Sample:
    now_s: float
    busy_s: float  # of all cores, since the machine started
    consumers: dict[int, str]  # pid -> consumer
    cpu_s: Mapping[int, float]  # pid -> CPU seconds used, with those of its children that exited


def taken_between(before: _Sample, after: _Sample) -> Taken:
    """Return the CPU use of every consumer between two samples. Pure.

    The use of a process that exited stays in the sum of its consumer: its parent has it among its children's.
    """
    cpu_s = dict.fromkeys(_WHO, 0.0)
    for sample, sign in ((after, 1), (before, -1)):
        for pid, used_s in sample.cpu_s.items():
            cpu_s[sample.consumers[pid]] += sign * used_s
    cpu_s = {who: max(0.0, used_s) for who, used_s in cpu_s.items()}
    cpu_s[OTHERS] = max(0.0, after.busy_s - before.busy_s - sum(cpu_s.values()))
    return Taken(before.now_s, after.now_s - before.now_s, cpu_s)


def _family(gate: int, generator: int | None, server: int | None) -> dict[int, str]:
    """Return the consumer of each process: that of its nearest root.

    Every PostgreSQL belongs to the server, every rehearsal copy to the gate.
    """
    roots = {gate: GATE, **({generator: GENERATOR} if generator else {}), **({server: SERVER} if server else {})}
    parents: dict[int, int] = {}
    for process in psutil.process_iter(["ppid", "name"]):
        parents[process.pid] = process.info["ppid"]
        if process.info["name"] == _POSTGRES:
            roots[process.pid] = SERVER
        elif process.info["name"].startswith(_PYTHON) and _is_copy(process):
            roots[process.pid] = GATE
    nearest = ((pid, next((roots[each] for each in _line(pid, parents) if each in roots), None)) for pid in parents)
    return {pid: who for pid, who in nearest if who}


def _is_copy(process: psutil.Process) -> bool:
    try:
        return any(_COPY in word for word in process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _line(pid: int, parents: Mapping[int, int]) -> Iterable[int]:
    """Yield a process and its ancestors."""
    visited: set[int] = set()
    while pid and pid not in visited:
        visited.add(pid)
        yield pid
        pid = parents.get(pid, 0)


def _cpu_s(pids: Iterable[int]) -> dict[int, float]:
    used: dict[int, float] = {}
    for pid in pids:
        try:
            times = psutil.Process(pid).cpu_times()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        used[pid] = times.user + times.system + times.children_user + times.children_system
    return used


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq")))
