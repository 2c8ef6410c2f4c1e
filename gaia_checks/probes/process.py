"""Whether the recorded process is alive, runs the release's executable, and may go on."""

import contextlib
import math
import resource

import psutil

from gaia_checks.model import NOT_CHECKED, Measurement, Process, Target
from gaia_checks.target.samples import Watch
from gaia_checks.target.server_process import digest, find
from gaia_checks.target.unobservable import HERE, cannot_observe


def probe(target: Target, *, first_observed: Process | None = None) -> list[Measurement]:
    """Measure `process.alive`, `process.digest_matches`, `process.restarts` and `process.cpu_limited`.

    `first_observed` is the process at the start of the gate; by default the target's recorded one.
    """
    watch = Watch()
    process = target.process or first_observed
    if process is None:
        why = (cannot_observe(target, "the server's process", HERE),)
        names = {"alive": "bool", "digest_matches": "bool", "restarts": "count", "cpu_limited": "count"}
        return [
            watch.measurement(f"process.{name}", 0, unit, 0, "the recorded process", why)
            for name, unit in names.items()
        ]
    return [
        _alive(process, watch),
        digest(target, process, watch),
        _restarts(process, first_observed, watch),
        _cpu_limited(process, watch),
    ]


def _alive(process: Process, watch: Watch) -> Measurement:
    alive = find(process) is not None
    notes = () if alive else (f"no process {process.pid} that was started then",)
    return watch.measurement("process.alive", alive, "bool", 1, "pid and birth of the recorded process", notes)


def _restarts(process: Process, first_observed: Process | None, watch: Watch) -> Measurement:
    first = first_observed or process
    same = (first.pid, first.birth) == (process.pid, process.birth)
    notes = () if same else (f"pid {first.pid} at first, pid {process.pid} now",)
    return watch.measurement("process.restarts", int(not same), "count", 1, "pid and birth, at first and now", notes)


def _cpu_limited(process: Process, watch: Watch) -> Measurement:
    """Count the processes of the server that the kernel kills after some CPU time: no server may have such a limit."""
    name, how = "process.cpu_limited", "limits of CPU time of the recorded process and its descendants"
    running = find(process)
    if running is None or not psutil.LINUX:
        why = f"{NOT_CHECKED}{'the process is gone' if running is None else 'only Linux shows the limits of a process'}"
        return watch.measurement(name, 0, "count", 0, how, (why,))
    notes = []
    try:
        for each in (running, *running.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                limit_s = min(map(_seconds, each.rlimit(resource.RLIMIT_CPU)))
                if limit_s < math.inf:
                    notes.append(f"process {each.pid} ({each.name()}) is killed after {limit_s:g} s of CPU time")
    except psutil.AccessDenied as error:
        return watch.measurement(name, 0, "count", 0, how, (f"{NOT_CHECKED}{error}",))
    return watch.measurement(name, len(notes), "count", 1, how, notes)


def _seconds(limit: int) -> float:
    return math.inf if limit == resource.RLIM_INFINITY else limit
