"""Runs one load: starts locust in a separate process and converts its results into measurements.

A load that may be extended is started for its longest window. Its analyses are measured while it continues without a
pause, until the gate reports that it needs no more.

Locust's exit code is unreliable: after a crashed listener it is 0. Only a complete result counts.
"""

import contextlib
import json
import math
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gaia_checks import files, jsonl
from gaia_checks.environment import load_master
from gaia_checks.environment.environment import LoadSettings
from gaia_checks.environment.process_variables import surroundings
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import Inconclusive
from gaia_checks.load.machine import Machine
from gaia_checks.load.results.measurements import looked, measurements, not_measured
from gaia_checks.load.results.result_files import RESULT, SO_FAR, SO_FAR_TAKEN, look_file
from gaia_checks.load.results.stall_measurements import Stalls
from gaia_checks.model import Log, Measurement, Target

LOCUSTFILES = {"load": ROOT / "locustfiles" / "quotas.py", "protection": ROOT / "locustfiles" / "protection.py"}
"""The locustfile of each look."""

WITHOUT_RULES = {**LOCUSTFILES, "load": ROOT / "locustfiles" / "smoke.py"}
"""The same for a target in which no rules can be created."""

ENOUGH = "enough\n"
"""The line that the gate writes to the load's standard input when it needs no further analysis."""

ONE_PROCESS = LoadSettings()

_POLL_S = 0.1
_BEYOND_S = 45.0  # start, last responses and shutdown take less than this beyond the window
_GRACE_S = 5.0
_OBSERVER_POLLS = 30  # the observer writes once a second, unless it has exited


def command(
    base_url: str,
    folder: Path,
    *,
    rate_per_s: float,
    window_s: float,
    looks_s: Sequence[float] = (),
    locustfile: Path = LOCUSTFILES["load"],
    settings: LoadSettings = ONE_PROCESS,
) -> tuple[str, ...]:
    """Return locust's command line: one load of `window_s`, rounded up to whole seconds, into `folder`. Pure."""
    analyses = ("--looks-s", ",".join(f"{look_s:g}" for look_s in looks_s)) if looks_s else ()
    return (
        sys.executable, "-m", "locust", "--locustfile", str(locustfile), "--headless", "--only-summary",
        "--loglevel", "WARNING", "--host", base_url, "--rate", f"{rate_per_s:g}", "--run-time",
        f"{math.ceil(window_s)}s", "--folder", str(folder), "--end-with-parent", *analyses, *_generator(settings),
    )  # fmt: skip


def _generator(settings: LoadSettings) -> tuple[str, ...]:
    """Return locust's options for what sends the load."""
    engine = ("--engine", settings.engine) if settings.engine != "locust" else ()
    if not settings.workers and settings.processes == 1:
        return engine
    host, _, port = settings.master.rpartition(":")
    bound = ("--master-bind-host", host, "--master-bind-port", port, "--for-gate")
    wait = ("--expect-workers-max-wait", str(math.ceil(settings.join_within_s)))
    if settings.workers:
        return (*engine, "--master", *bound, "--expect-workers", str(settings.workers), *wait)
    return (*engine, "--processes", str(settings.processes), *bound, "--master-port", port, *wait)


def files_of(folder: Path, look: str) -> Path:
    """Return the folder of a load's own files: the evidence folder, or one below it named after the look."""
    return folder if look == "load" else folder / look


def run(
    target: Target,
    folder: Path,
    *,
    rate_per_s: float,
    window_s: float,
    log: Log,
    cancelled: Callable[[], bool],
    looks_s: Sequence[float] = (),
    enough: Callable[[], bool] = lambda: False,
    look: str = "load",
    locustfile: Path | None = None,
    so_far: Path | None = None,
    settings: LoadSettings = ONE_PROCESS,
) -> int:
    """Send the load of a look and append its measurements to the evidence. Returns 0 when it was measured, else 8.

    `looks_s` are times before the end; the requests due by then are measured while the load continues. The load stops
    early once `enough()` is true, keeping the analyses measured so far, or once `cancelled()` is true. Interim
    measurements go into the folder `so_far`.
    """
    folder, results = folder.resolve(), files_of(folder.resolve(), look)
    results.mkdir(exist_ok=True)
    (results / RESULT).unlink(missing_ok=True)
    machine, stalls = Machine(target.process), Stalls(folder)
    analyses = Analyses(folder, looks_s, machine, stalls)
    publisher = SoFar(results, so_far, look, machine, stalls) if so_far else None
    argv = command(
        target.base_url, results, rate_per_s=rate_per_s, window_s=window_s, looks_s=looks_s,
        locustfile=locustfile or settings.locustfile or (WITHOUT_RULES if target.no_rules else LOCUSTFILES)[look],
        settings=replace(settings, master=f"127.0.0.1:{_free_port()}") if settings.processes > 1 else settings,
    )  # fmt: skip
    if settings.workers:
        log(f"{settings.generator}: {settings.join_command}")
        if why := load_master.why_closed(settings):
            _append(folder, not_measured(f"{why}; see: gaia doctor {target.environment}", look))
            return Inconclusive.exit_code
    process = subprocess.Popen(argv, cwd=results, env=_variables(target), stdin=subprocess.DEVNULL, stdout=sys.stderr)

    def over() -> bool:
        machine.sample()
        analyses.measure()
        if publisher:
            publisher.publish()
        return enough() or cancelled()

    try:
        finished = _wait(process, time.monotonic() + settings.wait_s + window_s + _BEYOND_S, over)
    finally:
        _end(process)
        for name in (SO_FAR, SO_FAR_TAKEN):
            (results / name).unlink(missing_ok=True)
    analyses.measure()
    if enough():
        return 0
    if cancelled():
        log("the load was stopped early; it measured nothing")
        return Inconclusive.exit_code
    result = _read(results / RESULT)
    broken = result.get("broken") if finished else "locust did not exit in time"
    if not broken:
        _wait_for_observer(stalls, result)
        _append(folder, _all(result, look, machine, stalls))
        return 0
    log(f"the load measured nothing{' more' if analyses.measured else ''}: {broken}")
    if not analyses.measured:
        _append(folder, not_measured(str(broken), look))
    return Inconclusive.exit_code


class Analyses:
    """Converts the analyses of a running load into measurements as they complete."""

    def __init__(self, folder: Path, ends_s: Sequence[float], machine: Machine, stalls: Stalls) -> None:
        """Remove the analyses of an earlier load in `folder`."""
        self._folder = folder
        self._machine = machine
        self._stalls = stalls
        self._ends_s = ends_s
        self.measured = 0
        for number in range(len(ends_s)):
            (folder / look_file(number)).unlink(missing_ok=True)

    def measure(self) -> None:
        """Append the measurements of new analyses to the evidence."""
        while self.measured < len(self._ends_s) and (self._folder / look_file(self.measured)).exists():
            result, end_s = _read(self._folder / look_file(self.measured)), self._ends_s[self.measured]
            self.measured += 1
            measured = _all(result, "load", self._machine, self._stalls)
            _append(self._folder, [*measured, looked(self.measured, end_s)])


def _append(folder: Path, added: Sequence[Measurement]) -> None:
    for measurement in added:
        jsonl.append(folder / "measurements.jsonl", measurement.to_json())


class SoFar:
    """Publishes interim measurements for the gate."""

    def __init__(self, results: Path, so_far: Path, look: str, machine: Machine, stalls: Stalls) -> None:
        self._written, self._published = results / SO_FAR, so_far / f"{look}.json"
        self._taken = results / SO_FAR_TAKEN  # beside it: `so_far` may be on another filesystem
        self._look = look
        self._machine = machine
        self._stalls = stalls
        self._pending: dict[str, Any] | None = None  # until the observer has reported as far
        self._polls = 0

    def publish(self) -> None:
        """Publish a new interim result, once the stalls of the machine in its time are known."""
        with contextlib.suppress(FileNotFoundError):
            self._written.replace(self._taken)
            self._pending = _read(self._taken)
        if self._pending is None:
            return
        self._polls += 1
        if self._stalls.behind(self._pending) and self._polls < _OBSERVER_POLLS:
            return
        measured = _all(self._pending, self._look, self._machine, self._stalls)
        files.replace_json(self._published, [one.to_json() for one in measured])
        self._pending, self._polls = None, 0


def _all(result: Mapping[str, Any], look: str, machine: Machine, stalls: Stalls) -> list[Measurement]:
    """Return the measurements of a load's result and of this machine while it ran."""
    of_machine = machine.measurements(look, result["window_s"], result.get("started_s"))
    return [*measurements(result, look), *of_machine, stalls.measurement(look, result)]


def _wait_for_observer(stalls: Stalls, result: Mapping[str, Any]) -> None:
    """Wait until the observer has reported on the load's last second. Counts polls: time passes in a stall as well."""
    for _ in range(_OBSERVER_POLLS):
        if not stalls.behind(result):
            return
        time.sleep(_POLL_S)


def _variables(target: Target) -> dict[str, str]:
    """Return locust's whole environment: no LOCUST_* variable or ~/.locust.conf of the caller affects it."""
    token = {"GAIA_ADMIN_TOKEN": target.admin_token} if target.admin_token else {}
    results = {"PYTHONPATH": str(ROOT), "GAIA_API_KEY": target.key}
    trusted = {name: value for name, value in surroundings().items() if name.startswith("SSL_")}
    names = {"GAIA_NAMES": json.dumps(asdict(target.names))} if target.translated else {}
    return {**trusted, **results, **token, **names}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _wait(process: "subprocess.Popen[bytes]", deadline: float, over: Callable[[], bool]) -> bool:
    """Return whether the process exited by itself in time."""
    while process.poll() is None:
        if over() or time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _read(path: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"broken": "locust wrote no result; see load.err"}
    return result
