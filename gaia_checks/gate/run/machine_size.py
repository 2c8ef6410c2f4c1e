"""Whether this machine is too small for the load of a gate: observed before the load starts, decided at once.

On a machine that is too small the load's honesty checks would certainly leave the gate undecided half an hour later.
Each quarter of the observed time must be too slow: one stall proves nothing. Nor do seconds in which the gate itself
kept the machine busy: before a load it starts browsers and copies of the server, beside the load it does not.
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
from gaia_checks.environment.process_variables import of_libpq
from gaia_checks.judge.criteria_file import Criteria
from gaia_checks.load.machine import OTHERS, Machine, Taken
from gaia_checks.load.results.stall_measurements import TIMELINE, lateness_ms
from gaia_checks.model import Target

_PARTS = 4
_P99 = 0.99
_OWN_SHARE = 0.5  # of all cores, by the gate and the target: a machine that is left less is not judged
_POLL_S = 1.0
_WRITES = 20
_WRITTEN_BYTES = 8192  # a page of PostgreSQL's
_SPREAD_S = 1.0

_HELP = "close other programs, add cores, or run the gate elsewhere; --complete measures anyway"


@dataclass(frozen=True, slots=True)
class MachineRequirements:
    """The requirements of a load on this machine."""

    rate_per_s: float
    observed_s: float
    lateness_ms: float
    steal: float
    fsync_ms: float

    @classmethod
    def of(cls, criteria: Criteria, look: str) -> "MachineRequirements | None":
        """Return the limits of a load, from its honesty checks and [machine]; None if criteria.toml has none."""
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
    """Observations of this machine."""

    lateness_ms: float = 0.0  # p99 of the wake-up lateness of a sleeping process
    least_lateness_ms: float = 0.0  # the same, in the best quarter of the time
    least_steal: float = 0.0  # share of all cores taken by other machines, in the best quarter
    cores: int = 1
    busy: float | None = None  # share of all cores; None if the kernel has no such counter
    others: float | None = None  # the same, by processes that are neither the target's nor the gate's
    fsync_ms: float | None = None  # median; None if the target's database is not on this machine


def too_small(observed: Observed, limits: MachineRequirements) -> str | None:
    """Return why this machine cannot measure a load, and what would help; None if it may be able to. Pure."""
    found = []
    if observed.least_lateness_ms > limits.lateness_ms:
        found.append(
            f"a sleeping process woke {observed.lateness_ms:.0f} ms late (p99; {limits.lateness_ms:g} allowed)"
        )
    if observed.least_steal > limits.steal:
        found.append(
            f"other machines took {100 * observed.least_steal:.0f} % of its cores ({100 * limits.steal:g} allowed)"
        )
    if found and observed.busy is not None:
        found.append(f"{observed.cores} cores {100 * observed.busy:.0f} % busy")
        found += [f"{100 * observed.others:.0f} % by other processes"] if observed.others is not None else []
    if observed.fsync_ms is not None and observed.fsync_ms > limits.fsync_ms:
        found.append(f"writing 8 kB to its disk took {observed.fsync_ms:.0f} ms (median; {limits.fsync_ms:g} allowed)")
    if not found:
        return None
    return (
        f"this machine is too small for a load of {limits.rate_per_s:g} requests a second: {', '.join(found)}; {_HELP}"
    )


def summary(records: Sequence[Mapping[str, Any]]) -> Observed:
    """Summarise the observer's records. Pure."""
    size = max(1, len(records) // _PARTS)
    parts = [records[start : start + size] for start in range(0, size * _PARTS, size) if records[start : start + size]]
    return Observed(
        lateness_ms=lateness_ms(records, _P99),
        least_lateness_ms=min((lateness_ms(part, _P99) for part in parts), default=0.0),
        least_steal=min((_mean(part, "steal") or 0.0 for part in parts), default=0.0),
        cores=os.cpu_count() or 1,
        busy=_mean(records, "busy"),
    )


def left_alone(records: Sequence[Mapping[str, Any]], taken: Sequence[Taken], cores: int) -> list[Mapping[str, Any]]:
    """Return the records of the seconds in which gate and target left the machine at least half of its cores. Pure.

    What they used is known between the first and the last of `taken`; other seconds are left out.
    """

    def quiet(record: Mapping[str, Any]) -> bool:
        finished_s = record["monotonic_s"]
        began_s = finished_s - record["seconds"]
        during = [each for each in taken if each.began_s < finished_s and began_s < each.finished_s]
        known = during and during[0].began_s <= began_s and finished_s <= during[-1].finished_s
        return bool(known) and all(own(each) <= _OWN_SHARE for each in during)

    def own(each: Taken) -> float:
        return sum(used_s for who, used_s in each.cpu_s.items() if who != OTHERS) / each.seconds / cores

    return [record for record in records if quiet(record)]


def _mean(records: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [float(each[name]) for each in records if each[name] is not None]
    return statistics.fmean(values) if values else None


def watch(
    folder: Path,
    target: Target,
    limits: MachineRequirements,
    over: threading.Event,
    started: Callable[[], bool],
    machine: Machine,
) -> str | None:
    """Observe `machine` for `limits.observed_s` in which the gate does little; return why it is too small.

    None if it may be large enough, also when the gate is `over` or the load has `started` earlier: then its own
    honesty checks decide.
    """
    timeline = jsonl.Reader(folder / TIMELINE)
    fsync_ms = _fsync_ms(folder.parent, over) if database_is_here(target) else None
    if why := too_small(Observed(fsync_ms=fsync_ms), limits):
        return None if over.is_set() else why
    while not started() and not over.wait(_POLL_S):
        machine.sample()
        records = left_alone(timeline.records(), machine.taken, os.cpu_count() or 1)
        if sum(float(each["seconds"]) for each in records) >= limits.observed_s:
            return too_small(_with_others(summary(records), machine), limits)
    return None


def _with_others(observed: Observed, machine: Machine) -> Observed:
    seconds = sum(each.seconds for each in machine.taken)
    others = sum(each.cpu_s[OTHERS] for each in machine.taken) / seconds / observed.cores if seconds else None
    return replace(observed, others=others)


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
    except OSError:  # a full disk is reported where the evidence is written
        return None


def median_fsync_ms(folder: Path, over: threading.Event) -> float:
    """Return the time to write 8 kB durably to the disk of `folder`: the median of 20, spread over a second.

    Raises OSError when they cannot be written.
    """
    took_ms = []
    sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync
    with tempfile.TemporaryFile(dir=folder) as file:
        for number in range(_WRITES):
            os.pwrite(file.fileno(), bytes([number]) * _WRITTEN_BYTES, 0)
            started_s = time.monotonic()
            sync(file.fileno())
            took_ms.append((time.monotonic() - started_s) * 1000)
            if over.wait(_SPREAD_S / _WRITES):
                break
    return statistics.median(took_ms)
