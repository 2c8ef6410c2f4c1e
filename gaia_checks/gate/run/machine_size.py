"""Whether this machine is too small for the load of a gate: observed before the load starts, decided at once.

Too small is what the honesty checks of the load would certainly leave undecided anyway, half an hour later. What was
observed must hold in each quarter of the time: one stall, or the start of a browser, says nothing about the load.
"""

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from gaia_checks import jsonl
from gaia_checks.environment import of_libpq
from gaia_checks.judge.criteria import Criteria
from gaia_checks.load.machine import OTHERS, Machine
from gaia_checks.load.results.machine_stalls import TIMELINE, lateness_ms
from gaia_checks.model import Target

_PARTS = 4
_P99 = 0.99
_POLL_S = 1.0
_WRITES = 20
_WRITTEN_BYTES = 8192  # a page of PostgreSQL's
_SPREAD_S = 1.0

_HELP = "close other programs, give it more cores, or run the gate elsewhere; --complete measures all the same"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a load needs of this machine."""

    rate_per_s: float
    observed_s: float
    lateness_ms: float
    steal: float
    fsync_ms: float

    @classmethod
    def of(cls, criteria: Criteria, look: str) -> "Limits | None":
        """Return those of a load, from its honesty checks and [machine]; None where criteria.toml has none."""
        thresholds = {
            check.measurement: check.threshold
            for criterion in criteria.criteria
            if criterion.look == look
            for check in criterion.checks
            if check.generator
        }
        late, steal = thresholds.get(f"{look}.send_lateness_p99"), thresholds.get(f"{look}.cpu_steal")
        if late is None or steal is None or not criteria.machine:
            return None
        return cls(
            rate_per_s=criteria.looks[look]["rate_per_s"],
            observed_s=criteria.machine["observed_s"],
            lateness_ms=float(late),
            steal=float(steal),
            fsync_ms=criteria.machine["fsync_ms"],
        )


@dataclass(frozen=True, slots=True)
class Observed:
    """What was observed of this machine."""

    lateness_ms: float = 0.0  # p99 of how late a sleeping process woke
    least_lateness_ms: float = 0.0  # the same, of the quarter of the time in which it was best
    least_steal: float = 0.0  # share of all cores taken by other machines, in the best quarter
    cores: int = 1
    busy: float | None = None  # share of all cores; None where the kernel has no such counter
    others: float | None = None  # the same, by processes that are neither the target's nor the gate's
    fsync_ms: float | None = None  # median; None where the target's database is not on this machine


def too_small(seen: Observed, limits: Limits) -> str | None:
    """Return why no load can be measured on this machine, and what would help; None when it may be. Pure."""
    found = []
    if seen.least_lateness_ms > limits.lateness_ms:
        found.append(f"a sleeping process woke {seen.lateness_ms:.0f} ms late (p99; {limits.lateness_ms:g} allowed)")
    if seen.least_steal > limits.steal:
        found.append(
            f"other machines took {100 * seen.least_steal:.0f} % of its cores ({100 * limits.steal:g} allowed)"
        )
    if found and seen.busy is not None:
        found.append(f"{seen.cores} cores {100 * seen.busy:.0f} % busy")
        found += [f"{100 * seen.others:.0f} % by other processes"] if seen.others is not None else []
    if seen.fsync_ms is not None and seen.fsync_ms > limits.fsync_ms:
        found.append(f"writing 8 kB to its disk took {seen.fsync_ms:.0f} ms (median; {limits.fsync_ms:g} allowed)")
    if not found:
        return None
    return (
        f"this machine is too small for a load of {limits.rate_per_s:g} requests a second: {', '.join(found)}; {_HELP}"
    )


def summary(records: Sequence[Mapping[str, Any]]) -> Observed:
    """Return what the observer's records say. Pure."""
    size = max(1, len(records) // _PARTS)
    parts = [records[start : start + size] for start in range(0, size * _PARTS, size) if records[start : start + size]]
    return Observed(
        lateness_ms=lateness_ms(records, _P99),
        least_lateness_ms=min((lateness_ms(part, _P99) for part in parts), default=0.0),
        least_steal=min((_mean(part, "steal") or 0.0 for part in parts), default=0.0),
        cores=os.cpu_count() or 1,
        busy=_mean(records, "busy"),
    )


def _mean(records: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [float(each[name]) for each in records if each[name] is not None]
    return statistics.fmean(values) if values else None


def watch(
    folder: Path, target: Target, limits: Limits, over: threading.Event, started: Callable[[], bool]
) -> str | None:
    """Observe for as long as `limits` say; return why this machine is too small, None when it may do.

    None as well when the gate is `over`, or the load has `started`, before that: then its own honesty checks decide.
    """
    machine, timeline = Machine(target.process, gate=os.getpid(), generator=None), jsonl.Reader(folder / TIMELINE)
    fsync_ms = _fsync_ms(folder.parent, over) if database_is_here(target) else None
    if why := too_small(Observed(fsync_ms=fsync_ms), limits):
        return None if over.is_set() else why
    while not started() and not over.wait(_POLL_S):
        machine.sample()
        records = timeline.records()
        if sum(float(each["seconds"]) for each in records) >= limits.observed_s:
            return too_small(_with_others(summary(records), machine), limits)
    return None


def _with_others(seen: Observed, machine: Machine) -> Observed:
    seconds = sum(each.seconds for each in machine.taken)
    others = sum(each.cpu_s[OTHERS] for each in machine.taken) / seconds / seen.cores if seconds else None
    return replace(seen, others=others)


def database_is_here(target: Target) -> bool:
    """Whether the target's database is known to be on this machine."""
    try:
        parts = conninfo_to_dict(target.database_url or "host=?")
    except ProgrammingError:
        return False
    hosts = str(parts.get("hostaddr") or parts.get("host") or of_libpq().get("PGHOST", "")).split(",")
    return "service" not in parts and all(
        host in ("", "localhost", "::1") or host.startswith(("/", "127.")) for host in hosts
    )


def _fsync_ms(folder: Path, over: threading.Event) -> float | None:
    try:
        return median_fsync_ms(folder, over)
    except OSError:  # a full disk is reported by those who have to write their evidence
        return None


def median_fsync_ms(folder: Path, over: threading.Event) -> float:
    """Return how long it takes until 8 kB are on the disk below `folder`: the median of 20, spread over a second.

    Raises OSError when they cannot be written.
    """
    took_ms = []
    sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync
    with tempfile.TemporaryFile(dir=folder) as file:
        for number in range(_WRITES):
            os.pwrite(file.fileno(), bytes([number]) * _WRITTEN_BYTES, 0)
            began_s = time.monotonic()
            sync(file.fileno())
            took_ms.append((time.monotonic() - began_s) * 1000)
            if over.wait(_SPREAD_S / _WRITES):
                break
    return statistics.median(took_ms)
