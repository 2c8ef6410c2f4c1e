"""Whether a machine is too small for a load, decided before it starts."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gaia_checks import jsonl
from gaia_checks.gate.run.machine_size import (
    MachineRequirements,
    Observed,
    database_is_here,
    left_alone,
    median_fsync_ms,
    summary,
    too_small,
    watch,
)
from gaia_checks.judge import criteria_file
from gaia_checks.load.machine import GATE, OTHERS, SERVER, Machine, Taken
from gaia_checks.load.results.stall_measurements import TIMELINE
from gaia_checks.model import Target

LIMITS = MachineRequirements(rate_per_s=100, observed_s=20, lateness_ms=10, steal=0.1, fsync_ms=50)
HELP = "; close other programs, add cores, or run the gate elsewhere; --complete measures anyway"
SMALL = "this machine is too small for a load of 100 requests a second: "


@pytest.mark.parametrize(
    ("observed", "why"),
    [
        (Observed(), None),
        (Observed(9.0, 9.0, 0.09, 2, 1.0, 0.9, 49.0), None),  # busy alone proves nothing
        (Observed(48.0, 9.0, 0.0, 2, 0.97, 0.6), None),  # one stall does not make a machine too small
        (
            Observed(48.2, 12.0, 0.0, 2, 0.97, 0.6),
            "a sleeping process woke 48 ms late (p99; 10 allowed), 2 cores 97 % busy, 60 % by other processes",
        ),
        (Observed(48.2, 12.0), "a sleeping process woke 48 ms late (p99; 10 allowed)"),
        (
            Observed(0.0, 0.0, 0.2, 4, 0.5),
            "other machines took 20 % of its cores (10 allowed), 4 cores 50 % busy",
        ),
        (Observed(fsync_ms=80.4), "writing 8 kB to its disk took 80 ms (median; 50 allowed)"),
    ],
)  # fmt: skip
def test_a_machine_is_too_small_if_the_gate_would_be_undecided(observed: Observed, why: str | None) -> None:
    """The reason gives the observed values, the allowed ones, and what would help, in one line."""
    assert too_small(observed, LIMITS) == (why and SMALL + why + HELP)


def test_the_limits_are_those_of_the_loads_honesty() -> None:
    """Lateness and steal have no second threshold: they come from the load's own checks."""
    found = criteria_file.load()
    checks = {check.measurement: check.threshold for each in found.criteria for check in each.checks}
    for look in ("load", "protection"):
        limits = MachineRequirements.of(found, look)
        assert limits is not None
        assert limits.lateness_ms == checks[f"{look}.send_lateness_p99"]
        assert limits.steal == checks[f"{look}.cpu_steal"]
        assert (limits.observed_s, limits.fsync_ms) == (20, 50)
    assert MachineRequirements.of(found, "health") is None


def second(stalled_s: float, steal: float | None = 0.0) -> dict[str, Any]:
    """Make a record of the observer."""
    stalls = [[0.0, stalled_s]] if stalled_s else []
    return {"monotonic_s": 1.0, "seconds": 1.0, "stalls": stalls, "busy": 0.5, "steal": steal}


@pytest.mark.parametrize(
    ("records", "small"),
    [
        ([second(0)] * 20, False),
        ([second(0.5)] * 20, True),
        ([second(0.5)] * 15 + [second(0)] * 5, False),  # a browser started
        ([second(0)] * 10 + [second(0.9)] + [second(0)] * 9, False),
        ([second(0, steal=0.3)] * 20, True),
        ([second(0, steal=0.9)] * 15 + [second(0)] * 5, False),
        ([second(0, steal=None)] * 20, False),
        ([], False),
    ],
)
def test_each_quarter_of_the_time_must_be_too_slow(records: list[dict[str, Any]], *, small: bool) -> None:
    """A temporary disturbance proves nothing about the load, which comes later."""
    assert (too_small(summary(records), LIMITS) is not None) is small


@pytest.mark.parametrize(
    ("cpu_s", "counted"),
    [
        ({GATE: 0.4, SERVER: 0.5, OTHERS: 0.0}, True),
        ({GATE: 0.4, SERVER: 0.5, OTHERS: 1.1}, True),  # others keep it busy, also beside the load
        ({GATE: 0.7, SERVER: 0.5, OTHERS: 0.0}, False),  # the gate itself does
    ],
)
def test_a_second_that_the_gate_itself_kept_busy_does_not_count(cpu_s: dict[str, float], *, counted: bool) -> None:
    """Of three seconds the middle one is busy. Seconds before and after what is known do not count either."""
    records = [{**second(0.5), "monotonic_s": end_s} for end_s in (0.9, 1.0, 2.0, 3.0, 3.1)]
    taken = [Taken(0.0, 1.0, {OTHERS: 2.0}), Taken(1.0, 1.0, cpu_s), Taken(2.0, 1.0, {OTHERS: 2.0})]
    kept = left_alone(records, taken, cores=2)
    assert [record["monotonic_s"] for record in kept] == ([1.0, 2.0, 3.0] if counted else [1.0, 3.0])


@pytest.mark.parametrize(
    ("url", "here"),
    [
        (None, False),
        ("postgresql://gaia@127.0.0.1:5432/gaia", True),
        ("postgresql://gaia@localhost/gaia", True),
        ("postgresql:///gaia?host=/run/postgresql", True),
        ("postgresql://gaia@db.example/gaia", False),
        ("host=::1 dbname=gaia", True),
        ("service=elsewhere", False),
        ("nonsense", False),
    ],
)
def test_only_a_database_of_this_machine_depends_on_its_disk(url: str | None, *, here: bool) -> None:
    """The disk is not measured for a database on another machine."""
    assert database_is_here(Target("qa", "http://127.0.0.1:9", "run", database_url=url)) is here


def test_the_disk_is_really_written_to(tmp_path: Path) -> None:
    """A write takes more than zero and less than a second, and leaves no file."""
    assert 0 < median_fsync_ms(tmp_path, threading.Event()) < 1000
    assert list(tmp_path.iterdir()) == []


class OfOthers(Machine):
    """A machine that others keep busy, whatever runs on this one; each sample is of a second from the 100th on."""

    def sample(self) -> None:
        """Sample."""
        self.taken.append(Taken(100.0 + len(self.taken), 1.0, {GATE: 0.1, SERVER: 0.2, OTHERS: 1.6}))


def watched(folder: Path, seconds: int, *, started: bool = False) -> str | None:
    """Watch a machine whose observer has written `seconds` records before; three seconds are needed."""
    timeline = folder / TIMELINE
    timeline.parent.mkdir(exist_ok=True)
    for number in range(seconds):
        jsonl.append(timeline, {**second(0.5), "monotonic_s": 101.0 + number})
    over = threading.Event()
    threading.Timer(6.0, over.set).start()
    target, limits = Target("qa", "http://127.0.0.1:9", "run"), replace(LIMITS, observed_s=3)
    return watch(folder, target, limits, over, lambda: started, OfOthers(None))


def test_a_small_machine_is_detected_from_the_observers_records(tmp_path: Path) -> None:
    """As many seconds as are needed suffice; fewer decide nothing, nor does anything after the load has started."""
    for seconds, started, small in ((2, False, False), (3, True, False), (3, False, True)):
        folder = tmp_path / f"{seconds}-{started}"
        folder.mkdir()
        assert (SMALL + "a sleeping process woke " in (watched(folder, seconds, started=started) or "")) is small
