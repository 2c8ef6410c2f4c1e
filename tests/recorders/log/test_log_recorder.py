"""The log recorder, on real files and a real process's start time."""

import asyncio
import json
import os
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from gaia_checks.deploy.supervisor import log_rotation
from gaia_checks.model import LogLocation, Measurement, Target, timestamp
from gaia_checks.recorders.base import process_start
from gaia_checks.recorders.log import log_recorder
from tests.probes.servers import known, target
from tests.recorders import stage


def line(at_s: float, level: str = "info", msg: str = "serving") -> str:
    """A line of the server, written at a moment since the epoch."""
    return json.dumps({"time": timestamp(datetime.fromtimestamp(at_s, UTC)), "level": level, "msg": msg}) + "\n"


def target_with(path: Path, created_s: float) -> Target:
    """A stopped server with this start time and log."""
    gone = replace(known(os.getpid(), path), birth="another", created_s=created_s)
    return target("http://127.0.0.1:9", log=LogLocation(str(path)), process=gone)


def look(folder: Path, path: Path, created_s: float, window_s: float) -> dict[str, Measurement]:
    """Record a log until the process has this age."""
    return stage.run(log_recorder.record, target_with(path, created_s), folder, window_s=window_s)


def values(observed: dict[str, Measurement]) -> tuple[Any, Any, Any]:
    """Whether it was read from the start, errors, tracebacks."""
    return observed["log.read_from_start"].value, observed["log.errors"].value, observed["log.tracebacks"].value


def test_a_clean_log_is_read_from_the_start_until_the_process_is_old_enough(tmp_path: Path) -> None:
    """The window starts with the process, and the recorder finishes when it is over."""
    path, now = tmp_path / "server.log", time.time()
    path.write_text(line(now - 900, "error") + line(now) + line(now, "warning"))
    observed = look(tmp_path, path, now, 0.6)
    assert values(observed) == (True, 0, 0)
    assert all(0.6 <= measurement.window_s < 3 for measurement in observed.values())
    assert observed["log.errors"].n == 2
    last = stage.timeline_of(tmp_path)[-1]
    assert (last["of"], last["worst"], last["lines"]) == (0.6, "2 lines, 0 errors, 0 tracebacks", 2)
    assert last["t"] >= 0.6


def test_the_log_of_an_old_process_is_read_up_to_now(tmp_path: Path) -> None:
    """The log of an older process is read without a wait, and counts since its start."""
    path, created = tmp_path / "server.log", psutil.Process().create_time()
    began = time.monotonic()
    path.write_text(line(created) + line(time.time(), "critical") + "Traceback (most recent call last):\n")
    observed = look(tmp_path, path, created, 0.01)
    assert time.monotonic() - began < 1
    assert values(observed) == (True, 1, 1)
    assert '"critical"' in observed["log.errors"].notes[0]


def test_a_process_is_as_old_as_it_is_when_the_clock_is_set(tmp_path: Path) -> None:
    """A clock change after the start does not prolong the recording."""
    own = known(os.getpid(), tmp_path)
    recorded = replace(own, created_s=own.created_s + 3600)
    began = asyncio.run(process_start.of(target("http://127.0.0.1:9", process=recorded)))
    assert began.created_s == recorded.created_s
    assert began.age_s == pytest.approx(time.time() - own.created_s, abs=1)


def test_an_error_is_found_across_a_rotation(tmp_path: Path) -> None:
    """Lines written during the recording count, in whichever file they are."""
    path, now = tmp_path / "server.log", time.time()
    path.write_text(line(now))

    def write() -> None:
        while not (tmp_path / "timelines" / "look.jsonl").exists():
            time.sleep(0.01)
        for number in range(3):
            with path.open("a") as file:
                file.write(line(time.time(), "error", f"number {number}"))
            log_rotation.rotate(path, limit_bytes=0)
        with path.open("a") as file:
            file.write(line(time.time(), "error", "without its end").rstrip("\n"))

    writer = threading.Thread(target=write)
    writer.start()
    observed = look(tmp_path, path, now, 0.9)
    writer.join()
    assert values(observed) == (True, 4, 0)


def test_a_log_whose_beginning_was_rotated_away_decides_nothing(tmp_path: Path) -> None:
    """A missing start gives n = 0; found errors still count."""
    path, now = tmp_path / "server.log", time.time()
    path.write_text(line(now - 100) + line(now, "error"))
    observed = look(tmp_path, path, now - 200, 1)
    assert values(observed) == (False, 1, 0)
    assert observed["log.read_from_start"].n == 0
    assert "the log begins 100 s after the process" in observed["log.read_from_start"].notes[0]


def test_a_log_that_was_emptied_while_we_looked_decides_nothing(tmp_path: Path) -> None:
    """A truncated log loses its start."""
    path, now = tmp_path / "server.log", time.time()
    path.write_text(line(now) * 3)

    def empty() -> None:
        while not (tmp_path / "timelines" / "look.jsonl").exists():
            time.sleep(0.01)
        path.write_text(line(time.time()))

    emptier = threading.Thread(target=empty)
    emptier.start()
    observed = look(tmp_path, path, now, 0.9)
    emptier.join()
    assert observed["log.read_from_start"].n == 0
    assert "truncated" in observed["log.read_from_start"].notes[0]


def test_an_empty_log_gives_no_samples(tmp_path: Path) -> None:
    """A log without lines gives no samples."""
    (tmp_path / "server.log").touch()
    observed = look(tmp_path, tmp_path / "server.log", time.time() - 10, 1)
    assert [measurement.n for measurement in observed.values()] == [0, 0, 0, 0]
    assert "no line since the process started" in observed["log.errors"].notes[0]


def test_a_level_that_is_no_text_is_counted(tmp_path: Path) -> None:
    """Errors have n = 0 and a reason, as nobody can find them by their level; tracebacks count in any log."""
    path, now = tmp_path / "server.log", time.time()
    path.write_text(
        json.dumps({"time": timestamp(datetime.fromtimestamp(now, UTC)), "level": 50, "msg": "lost"}) + "\n"
    )
    observed = look(tmp_path, path, now, 0.3)
    assert values(observed) == (True, 0, 0)
    assert (observed["log.errors"].n, observed["log.tracebacks"].n) == (0, 1)
    assert "no JSON line of the log has a `level` that is text" in observed["log.errors"].notes[0]
    assert (observed["log.levels"].value, observed["log.levels"].n) == (0, 1)
    assert 'a level that is no text hides errors: {"time": ' in observed["log.levels"].notes[0]


def test_levels_as_text_are_good_and_a_plain_log_has_none(tmp_path: Path) -> None:
    """Each JSON line with a level is one sample; lines without one are none."""
    path, now = tmp_path / "server.log", time.time()
    when = timestamp(datetime.fromtimestamp(now, UTC))
    lines = [{"time": when, "level": "info"}, {"time": when, "level": "error"}, {"time": when, "status": 200}]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    levels = look(tmp_path, path, now, 0.3)["log.levels"]
    assert (levels.value, levels.n, levels.notes) == (2, 2, ())
    path.write_text(f"{json.dumps({'time': when, 'msg': 'serving'})}\nlistening\n")
    levels = look(tmp_path, path, now, 0.3)["log.levels"]
    assert (levels.n, levels.notes) == (0, ("not checked: no JSON line of the log has a `level`",))


def test_an_unknown_or_unreadable_log_gives_no_samples(tmp_path: Path) -> None:
    """Every measurement exists, without samples, with the setting to change."""
    unknown = stage.run(log_recorder.record, target("http://127.0.0.1:9"), tmp_path, window_s=60)
    folder = look(tmp_path, tmp_path, time.time() - 10, 1)
    absent = look(tmp_path, tmp_path / "none.log", time.time() - 10, 1)
    for observed, why in ((unknown, "gaia deploy test"), (folder, "cannot be read"), (absent, "no line")):
        assert set(observed) == {"log.read_from_start", "log.errors", "log.tracebacks", "log.levels"}
        assert {measurement.n for measurement in observed.values()} == {0}
        assert all(why in measurement.notes[0] for measurement in observed.values())
