"""Whether the recorded process is alive and runs the release's executable."""

from gaia_checks.model import Measurement, Process, Target
from gaia_checks.target.samples import Watch
from gaia_checks.target.server_process import digest, find
from gaia_checks.target.unobservable import HERE, unseen


def probe(target: Target, *, first_seen: Process | None = None) -> list[Measurement]:
    """Measure `process.alive`, `process.digest_matches` and `process.restarts`.

    `first_seen` is the process at the start of the gate; by default the target's recorded one.
    """
    watch = Watch()
    process = target.process or first_seen
    if process is None:
        why = (unseen(target, "the server's process", HERE),)
        names = {"alive": "bool", "digest_matches": "bool", "restarts": "count"}
        return [watch.saw(f"process.{name}", 0, unit, 0, "the recorded process", why) for name, unit in names.items()]
    return [_alive(process, watch), digest(target, process, watch), _restarts(process, first_seen, watch)]


def _alive(process: Process, watch: Watch) -> Measurement:
    alive = find(process) is not None
    notes = () if alive else (f"no process {process.pid} that was started then",)
    return watch.saw("process.alive", alive, "bool", 1, "pid and birth of the recorded process", notes)


def _restarts(process: Process, first_seen: Process | None, watch: Watch) -> Measurement:
    first = first_seen or process
    same = (first.pid, first.birth) == (process.pid, process.birth)
    notes = () if same else (f"pid {first.pid} at first, pid {process.pid} now",)
    return watch.saw("process.restarts", int(not same), "count", 1, "pid and birth, at first and now", notes)
