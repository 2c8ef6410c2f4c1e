"""The background processes of a gate, the recorders and the loads, and the looks that a thread takes beside the tests.

The controller starts the looks that the tests wait for in separate processes, once all tests
are known. The exit of each process is recorded as a measurement, so that no test waits for a dead one.
"""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from gaia_checks import jsonl
from gaia_checks.environment.environment import LoadSettings
from gaia_checks.gate.run import gate_plan
from gaia_checks.judge.analyses import ends_s
from gaia_checks.judge.criteria_file import Looks
from gaia_checks.load import load_run
from gaia_checks.model import Measurement, Target

_PROCESSES = dict.fromkeys(gate_plan.RECORDED, "recorders") | {"limits": "limits"}
"""Recorded looks and their processes: a look that sends many requests has its own."""

OBSERVER = "machine"
"""The process that observes this machine during a load."""

RECORDED_FOR = {"process": ("restarts",), "resources": ("open_resources",)}
"""A test's look -> the looks recorded for it until the gate ends."""

_GRACE_S = 10.0


def process_of(look: str) -> str | None:
    """Return the name of the process (or of the gate's thread) that measures `look`, or None when a test does it."""
    return _PROCESSES.get(look) or (look if look in (*gate_plan.IN_TURN, *gate_plan.BESIDE) else None)


def exits_of(look: str) -> dict[str, str]:
    """Return the exit's name of each process, or thread of the gate, that measures for `look` -> its own name."""
    upkeep = (gate_plan.UPKEEP,) if look in gate_plan.UPKEEP_FOR else ()
    return {exit_name(process): process for process in (process_of(look), *upkeep) if process}


def exit_name(process: str) -> str:
    """Return the name of the measurement of a background process's exit code."""
    return f"gate.exit.{process}"


def recorders(folder: Path, looks: Looks, wanted: Collection[str], so_far: Path) -> dict[str, tuple[str, ...]]:
    """Return the command lines of the processes that record the wanted looks. Pure."""
    recorded: dict[str, dict[str, Mapping[str, float]]] = {}
    for look, process in _PROCESSES.items():
        if look in wanted:
            recorded.setdefault(process, {})[look] = dict(looks[look])
    for extra in (name for look, names in RECORDED_FOR.items() if look in wanted for name in names):
        recorded.setdefault("recorders", {})[extra] = {"window_s": gate_plan.expected_s(looks, wanted)}
    observer = (sys.executable, "-m", "gaia_checks.recorders.resources.machine_stalls", "--folder", str(folder))
    return ({OBSERVER: observer} if not set(gate_plan.LOADS).isdisjoint(wanted) else {}) | {
        process: (
            sys.executable, "-m", "gaia_checks.recorders", "--folder", str(folder), "--so-far", str(so_far),
            "--looks", json.dumps(parameters),
        )
        for process, parameters in recorded.items()
    }  # fmt: skip


def a_load(folder: Path, looks: Looks, look: str, so_far: Path, settings: LoadSettings) -> tuple[str, ...]:
    """Return the command line of the load of `look`, for its longest window. Pure.

    `settings` say what sends the load of the look `load`; the gate's machine sends every other one by itself.
    """
    generator = ("--settings", json.dumps(settings.to_json())) if look == gate_plan.LOAD else ()
    rate_per_s, window_s = looks[look]["rate_per_s"], looks[look]["window_s"]
    *looks_s, longest_s = ends_s(window_s, looks[look].get("max_window_s", window_s))
    ends = ",".join(f"{look_s:g}" for look_s in looks_s)
    return (
        sys.executable, "-m", "gaia_checks.load", "--folder", str(folder), "--so-far", str(so_far), "--look", look,
        "--rate-per-s", f"{rate_per_s:g}", "--window-s", f"{longest_s:g}", "--looks-s", ends, *generator,
    )  # fmt: skip


class Background:
    """The running processes of one gate."""

    def __init__(self, folder: Path, target: Target, record: Callable[[Measurement], None]) -> None:
        self._folder = folder
        self._target = target
        self._record = record
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._watchers: dict[str, threading.Thread] = {}
        self._starting = threading.Lock()
        self._stopped = False

    def start(self, argv: Mapping[str, tuple[str, ...]]) -> None:
        """Start every command, unless `stop` was called; the target, with its secrets, is passed by standard input."""
        for name, command in argv.items():
            with self._starting:
                if not self._stopped:
                    self._start_one(name, command)

    def _start_one(self, name: str, command: tuple[str, ...]) -> None:
        with _errors(self._folder, name).open("wb") as errors:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=errors, stderr=errors, text=True)
        self._processes[name] = process
        assert process.stdin is not None  # noqa: S101 - for the type checker: Popen made a pipe
        process.stdin.write(json.dumps(self._target.to_json()) + "\n")
        process.stdin.flush()  # it stays open: on end of file the process knows that the gate has exited
        watcher = threading.Thread(target=self._watch, args=(name, process), daemon=True)
        watcher.start()
        self._watchers[name] = watcher

    def wait(self, name: str) -> None:
        """Wait until a process has exited and its exit is recorded, if it was started."""
        if watcher := self._watchers.get(name):
            watcher.join()

    def enough(self) -> None:
        """Signal the load that no further analysis is required."""
        process = self._processes[gate_plan.LOAD]
        assert process.stdin is not None  # noqa: S101 - for the type checker: Popen made a pipe
        with contextlib.suppress(BrokenPipeError, ValueError):  # it has already exited
            process.stdin.write(load_run.ENOUGH)
            process.stdin.flush()

    def stop(self) -> None:
        """Terminate running processes and wait until every exit is recorded. Nothing is started afterwards."""
        with self._starting:
            self._stopped = True
        for process in list(self._processes.values()):
            if process.poll() is None:
                process.terminate()
        for process in list(self._processes.values()):
            try:
                process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
        for watcher in list(self._watchers.values()):
            watcher.join()

    def _watch(self, name: str, process: subprocess.Popen[str]) -> None:
        """Record a process's exit code, with its last output line on failure."""
        code = process.wait()
        if process.stdin:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        how = f"exit code of the {name} process"
        last_line = (
            () if code == 0 else tuple(_errors(self._folder, name).read_text(errors="replace").splitlines()[-1:])
        )
        self._record(Measurement(exit_name(name), code, "code", 1, 0.0, jsonl.now(), how, last_line))


def _errors(folder: Path, name: str) -> Path:
    """Return the file of a process's output."""
    return folder / f"{name}.log"
