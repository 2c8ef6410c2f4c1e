"""Which log lines are errors, and which belong to the process. Pure."""

import json
from datetime import UTC, datetime

import pytest

from gaia_checks.model import timestamp
from gaia_checks.recorders.log.parser import Reading, parse

BORN_S = 1_790_000_000.0


def line(after_s: float, level: str = "info", msg: str = "serving", **more: str) -> str:
    """A line of the server, written this many seconds after the process started."""
    time = timestamp(datetime.fromtimestamp(BORN_S + after_s, UTC))
    return json.dumps({"time": time, "level": level, "msg": msg, **more})


def read(*lines: str) -> Reading:
    """Read a whole log."""
    reading = Reading(BORN_S)
    for text in lines:
        reading.take(text)
    return reading


@pytest.mark.parametrize(
    ("text", "error", "traceback"),
    [
        (line(0), False, False),
        (line(0, "warning", "an error was avoided"), False, False),
        (line(0, "error"), True, False),
        (line(0, "ERROR"), True, False),
        (line(0, "critical"), True, False),
        (line(0, "fatal"), True, False),
        (line(0, "error", exception="Traceback (most recent call last):\n ..."), True, True),
        ("Traceback (most recent call last):", False, True),
        ("ERROR:    Exception in ASGI application", True, False),
        ("2026-11-23 FATAL: out of memory", True, False),
        ("no errors so far", False, False),
        ('{"level": "error"', False, False),
        ('{"severity": "ERROR", "msg": "lost"}', True, False),
        ('{"level": 50, "msg": "FATAL: out of memory"}', True, False),
        ('{"level": 30, "msg": "serving"}', False, False),
        ('["error"]', False, False),
        ("", False, False),
    ],
)
def test_a_line_is_judged_by_its_level_or_else_by_its_words(text: str, error: bool, traceback: bool) -> None:
    """JSON lines have a level, plain lines an error word; a traceback counts anywhere."""
    found = parse(text)
    assert (found.error, found.traceback) == (error, traceback)


@pytest.mark.parametrize(
    ("lines", "known"),
    [
        (['{"level": 30}', '{"level": 50}'], False),
        (["listening on 8080", '{"level": 50}'], False),
        (['{"severity": "error"}'], False),
        (['{"severity": "ERROR"}', '{"severity": "info"}'], True),
        ([line(0), '{"status": 200}'], True),
        (["listening on 8080"], True),
        ([], True),
    ],
)
def test_errors_are_not_known_of_json_without_levels(lines: list[str], known: bool) -> None:
    """An unknown level does not count, but an error word in the line does."""
    reading = read(*lines)
    reading.follow()
    assert (reading.undecided_errors() is None) == known


@pytest.mark.parametrize("time", ["2026-11-23T12:00:00", "yesterday", "", "12"])
def test_a_time_without_an_offset_is_none(time: str) -> None:
    """A time without an offset is ignored."""
    assert parse(json.dumps({"time": time, "level": "info"})).time_s is None


def test_lines_of_earlier_processes_do_not_count() -> None:
    """Errors of earlier processes do not count, nor plain lines after them."""
    reading = read(line(-50, "error"), "Traceback (most recent call last):", line(0.3), line(1, "error"))
    assert (reading.lines, reading.errors, reading.tracebacks) == (2, 1, 0)
    assert reading.missing_start() is None


def test_what_stands_behind_the_first_line_counts_whatever_time_it_claims() -> None:
    """All lines after the process's first one count, as a log is append-only."""
    assert read(line(0.3), line(-9000, "error")).errors == 1


def test_a_line_a_moment_before_the_start_is_its_own() -> None:
    """A line slightly older than the process start still counts."""
    assert read(line(-0.5, "error")).errors == 1


def test_timeless_lines_at_the_very_beginning_count_unless_older_ones_follow() -> None:
    """Lines without a time belong to the process of the first line with a time."""
    assert read("Traceback (most recent call last):", line(0.3)).tracebacks == 1
    assert read("Traceback (most recent call last):", line(-50), line(0.3)).tracebacks == 0


def test_everything_written_while_we_follow_counts() -> None:
    """Lines written while the recorder runs belong to the process."""
    reading = read(line(-50), "ERROR before")
    reading.follow()
    reading.take("ERROR now")
    assert reading.errors == 1
    assert reading.examples == ["ERROR now"]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], "no line since the process started"),
        ([line(-50)], "no line since the process started"),
        ([line(31)], "the log begins 31 s after the process"),
        (["serving"], "no line of the log has a time"),
    ],
)
def test_a_log_whose_beginning_is_gone_is_not_read_from_the_start(lines: list[str], why: str) -> None:
    """The start is missing in a log that is empty, cut off or without times."""
    reading = read(*lines)
    reading.follow()
    assert why in str(reading.missing_start())


def test_a_log_that_begins_with_the_process_is_read_from_the_start() -> None:
    """The start is there when the first line is young enough, or older lines precede it."""
    assert read(line(3)).missing_start() is None
    assert read(line(-50), line(500)).missing_start() is None


def test_only_a_few_examples_are_kept() -> None:
    """The number of examples is limited."""
    reading = read(line(0), *[line(1, "error")] * 100)
    assert reading.errors == 100
    assert len(reading.examples) == 5


def test_the_first_time_says_whether_a_part_begins_before_the_process() -> None:
    """Only the first line with a time decides."""
    reading = Reading(BORN_S)
    assert reading.begins_before(["plain", line(-50), line(1)])
    assert not reading.begins_before(["plain", line(1), line(-50)])
    assert not reading.begins_before([])
