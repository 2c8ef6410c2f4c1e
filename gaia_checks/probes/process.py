"""Whether the recorded process is alive and runs the release's executable."""

from gaia_checks.model import Measurement, Process, Target
from gaia_checks.target.samples import Watch
from gaia_checks.target.server_process import digest, find
from gaia_checks.target.unobservable import HERE, cannot_observe


def probe(target: Target, *, first_observed: Process | None = None) -> list[Measurement]:
    """Measure `process.alive`, `process.digest_matches` and `process.restarts`.

    `first_observed` is the process at the start of the gate; by default the target's recorded one.
    """
    watch = Watch()
    process = target.process or first_observed
    if process is None:
        why = (cannot_observe(target, "the server's process", HERE),)
        names = {"alive": "bool", "digest_matches": "bool", "restarts": "count"}
        return [
            watch.measurement(f"process.{name}", 0, unit, 0, "the recorded process", why)
            for name, unit in names.items()
        ]
    return [_alive(process, watch), digest(target, process, watch), _restarts(process, first_observed, watch)]


def _alive(process: Process, watch: Watch) -> Measurement:
    alive = find(process) is not None
    notes = () if alive else (f"no process {process.pid} that was started then",)
    return watch.measurement("process.alive", alive, "bool", 1, "pid and birth of the recorded process", notes)


def _restarts(process: Process, first_observed: Process | None, watch: Watch) -> Measurement:
    first = first_observed or process
    same = (first.pid, first.birth) == (process.pid, process.birth)
    notes = () if same else (f"pid {first.pid} at first, pid {process.pid} now",)
    return watch.measurement("process.restarts", int(not same), "count", 1, "pid and birth, at first and now", notes)
