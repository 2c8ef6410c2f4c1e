"""`python -m gaia_checks.recorders.resources.machine_stalls --folder RUN_FOLDER`: when this machine stalled.

A separate process that only sleeps. It wakes up late for one reason only: it got no core. So this observer does not
depend on the server, the load generator or the rest of the gate. Once a second it writes its observations, and what
the kernel reports, to `timelines/machine.jsonl`:

    monotonic_s  end of the second, on the clock that all processes of this machine share; at: the same, wall clock
    seconds      how long it was               wake_ups  how often it woke up, in time or late
    stalls       [[start, length], ...] in s, of wake-ups more than 10 ms late; start is on the monotonic clock
    busy, steal  shares of all cores: used by processes of this machine, taken by other machines
    pressure     {"cpu": {"some": share of the second, "full": ...}, "io": ...}; null where the kernel has none

It ignores the first line of standard input, the target. The end of standard input means that the gate is gone.
Exit code 0 when it was stopped, 1 when the gate is gone.
"""

import argparse
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gaia_checks import jsonl
from gaia_checks.model import Measurement, timestamp

TIMELINE = Path("timelines") / "machine.jsonl"
LATE_S = 0.01

_STDIN = 0
_EVERY_S = 0.005
_WRITE_EVERY_S = 1.0
_EXAMPLES = 3

Stall = tuple[float, float]
"""Start on the monotonic clock, and length, in seconds."""


def main() -> int:
    """Observe until stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m gaia_checks.recorders.resources.machine_stalls", description=__doc__
    )
    parser.add_argument("--folder", type=Path, required=True, help="the run's evidence folder")
    folder = parser.parse_args().folder
    stopped, gone = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    threading.Thread(target=_watch_parent, args=(gone, stopped), daemon=True).start()
    gc.disable()  # the process makes no cycles, and a collection would delay its own wake-ups
    (folder / TIMELINE).parent.mkdir(parents=True, exist_ok=True)
    observation = observe(stopped.is_set, lambda record: jsonl.append(folder / TIMELINE, record))
    jsonl.append(folder / "measurements.jsonl", observation.measurement().to_json())
    return 1 if gone.is_set() else 0


def _watch_parent(gone: threading.Event, stopped: threading.Event) -> None:
    """Read until standard input ends. Not through sys.stdin: a thread blocked in it would prevent the exit."""
    while os.read(_STDIN, 65536):
        pass
    if not stopped.is_set():
        gone.set()
    stopped.set()


@dataclass
class Observation:
    """Everything that was observed."""

    seconds: float = 0.0
    wake_ups: int = 0
    stalled_s: float = 0.0
    stalls: int = 0
    longest: list[tuple[float, str]] = field(default_factory=list)  # (length, when), the longest first

    def add(self, second: "_Second") -> None:
        """Add a second."""
        self.seconds += second.now_s - second.began_s
        self.wake_ups += second.wake_ups
        self.stalled_s += sum(length for _, length in second.stalls)
        self.stalls += len(second.stalls)
        examples = [(length, _at(start)) for start, length in second.stalls]
        self.longest = sorted([*self.longest, *examples], reverse=True)[:_EXAMPLES]

    def measurement(self) -> Measurement:
        """Return the total time of stalls."""
        how = f"seconds in {self.stalls} wake-ups more than 10 ms late, of a process that only sleeps"
        notes = tuple(f"{length:.3f} s at {at}" for length, at in self.longest)
        window_s, value = round(self.seconds, 3), round(self.stalled_s, 4)
        return Measurement("machine.stalled", value, "s", self.wake_ups, window_s, jsonl.now(), how, notes)


@dataclass
class _Second:
    """The current second."""

    began_s: float
    kernel: "Kernel"
    now_s: float = 0.0
    wake_ups: int = 0
    stalls: list[Stall] = field(default_factory=list)

    def record(self, kernel: "Kernel") -> dict[str, Any]:
        """Return its record in the timeline."""
        return {
            "at": jsonl.now(),
            "monotonic_s": round(self.now_s, 6),
            "seconds": round(self.now_s - self.began_s, 6),
            "wake_ups": self.wake_ups,
            "stalls": [[round(start, 6), round(length, 6)] for start, length in self.stalls],
            **between(self.kernel, kernel, self.now_s - self.began_s, os.cpu_count() or 1),
        }


def observe(stopped: Callable[[], bool], write: Callable[[Mapping[str, Any]], None]) -> Observation:
    """Sleep and record every late wake-up until `stopped`; `write` gets one record a second."""
    observation, due_s = Observation(), time.monotonic()
    second = _Second(due_s, Kernel.read())
    over = False
    while not over:
        due_s = _sleep(due_s + _EVERY_S, second)
        over = stopped()
        if over or second.now_s - second.began_s >= _WRITE_EVERY_S:
            kernel = Kernel.read()
            write(second.record(kernel))
            observation.add(second)
            second = _Second(second.now_s, kernel)
    return observation


def _sleep(due_s: float, second: _Second) -> float:
    """Sleep until `due_s`, record a late wake-up, and return the current moment of the schedule."""
    before_s = time.monotonic()
    if before_s >= due_s:  # the process's own write took this long: no stall
        due_s = before_s + _EVERY_S
    time.sleep(due_s - before_s)
    second.now_s = time.monotonic()
    second.wake_ups += 1
    late_s = second.now_s - due_s
    if late_s > LATE_S:
        second.stalls.append((due_s, late_s))
    return due_s + late_s // _EVERY_S * _EVERY_S


def _at(monotonic_s: float) -> str:
    """Return the time of day of a moment on the monotonic clock."""
    return timestamp(datetime.fromtimestamp(time.time() - time.monotonic() + monotonic_s, UTC))


# what the kernel reports -------------------------------------------------------------------------

_PRESSURES = ("cpu", "io")


@dataclass(frozen=True, slots=True)
class Kernel:
    """Counters since the machine started, in seconds; None where the kernel has none."""

    busy_s: float | None
    steal_s: float | None
    pressure_s: Mapping[str, Mapping[str, float] | None]  # "cpu" -> "some" -> how long something waited

    @classmethod
    def read(cls) -> "Kernel":
        """Read the counters now."""
        pressures = {name: _pressure(_text(Path("/proc/pressure") / name)) for name in _PRESSURES}
        fields = _text(Path("/proc/stat")).partition("\n")[0].split()[1:]
        if len(fields) < 8:
            return cls(None, None, pressures)
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
        tick_s = 1 / os.sysconf("SC_CLK_TCK")
        return cls((user + nice + system + irq + softirq) * tick_s, steal * tick_s, pressures)


def between(before: Kernel, after: Kernel, seconds: float, cores: int) -> dict[str, Any]:
    """Return the shares between two readings. Pure."""

    def share(then: float | None, now: float | None, of_s: float) -> float | None:
        return None if then is None or now is None or of_s <= 0 else round(max(0.0, now - then) / of_s, 4)

    return {
        "busy": share(before.busy_s, after.busy_s, seconds * cores),
        "steal": share(before.steal_s, after.steal_s, seconds * cores),
        "pressure": {
            name: {
                kind: share((before.pressure_s[name] or {}).get(kind), total, seconds) for kind, total in now.items()
            }
            if now
            else None
            for name, now in after.pressure_s.items()
        },
    }


def _pressure(text: str) -> dict[str, float] | None:
    """Read `some avg10=0.00 avg60=0.00 avg300=0.00 total=12345`, one line for some and one for full; total is in us."""
    found = {line.split()[0]: int(line.rpartition("total=")[2]) / 1e6 for line in text.splitlines() if "total=" in line}
    return found or None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:  # not Linux, or a kernel without this feature
        return ""


if __name__ == "__main__":
    sys.exit(main())
