"""Following real files through real rotations."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gaia_checks.deploy.supervisor import log_rotation
from gaia_checks.recorders.log.tail import Tail


def everything(tail: Tail) -> list[str]:
    """The lines since the last call."""
    return [line for lines in tail.lines() for line in lines]


def append(log: Path, text: str) -> None:
    """Write as a server does."""
    with log.open("a") as file:
        file.write(text)


def by_copying(log: Path) -> None:
    """Rotate as the supervisor does."""
    assert log_rotation.rotate(log, limit_bytes=0)


def by_renaming(log: Path) -> None:
    """Rotate as logrotate does by default."""
    for number in range(4, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.rename(log.with_name(f"{log.name}.{number + 1}"))
    log.rename(log.with_name(f"{log.name}.1"))


Rotate = Callable[[Path], None]
ROTATIONS = pytest.mark.parametrize("rotate", [by_copying, by_renaming])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The path of the log."""
    return tmp_path / "server.log"


def tail_of(log: Path) -> Tail:
    """A tail that starts at the part whose first line is "old"."""
    return Tail(log, lambda lines: lines[0].startswith("old"))


def test_whole_lines_come_as_they_are_written(log: Path) -> None:
    """An unfinished line waits for its end; at the end it is taken as it is."""
    tail = tail_of(log)
    assert everything(tail) == []
    append(log, "one\ntw")
    assert everything(tail) == ["one"]
    append(log, "o\n\nthree")
    assert everything(tail) == ["two"]
    assert tail.last() == ["three"]
    assert tail.last() == []


@ROTATIONS
def test_a_rotation_loses_and_repeats_nothing(log: Path, rotate: Rotate) -> None:
    """Across rotations each line is read once, in order."""
    tail = tail_of(log)
    append(log, "one\ntw")
    observed = everything(tail)
    append(log, "o\nthree\n")
    rotate(log)
    append(log, "four\n")
    observed += everything(tail)
    append(log, "five\n")
    observed += everything(tail)
    assert observed == ["one", "two", "three", "four", "five"]
    assert tail.lost is None


@ROTATIONS
def test_two_rotations_between_two_looks_lose_nothing(log: Path, rotate: Rotate) -> None:
    """The last part read is recognised by its first bytes, whatever its name."""
    tail = tail_of(log)
    append(log, "one\n")
    observed = everything(tail)
    append(log, "two\n")
    rotate(log)
    append(log, "three\n")
    rotate(log)
    append(log, "four, which makes this part longer than the place we had reached in the first\n")
    observed += everything(tail)
    assert [line[:5] for line in observed] == ["one", "two", "three", "four,"]


@ROTATIONS
def test_reading_begins_as_far_back_as_needed(log: Path, rotate: Rotate) -> None:
    """Reading starts at the newest part that predates the process."""
    for text in ("old, and not needed\n", "old\nfirst\n", "second\n"):
        append(log, text)
        rotate(log)
    append(log, "third\n")
    assert everything(tail_of(log)) == ["old", "first", "second", "third"]


def test_a_log_that_is_emptied_without_a_copy_is_lost(log: Path) -> None:
    """Lost lines are reported; later lines are read."""
    tail = tail_of(log)
    append(log, "one\n")
    everything(tail)
    os.truncate(log, 0)
    append(log, "two\n")
    assert everything(tail) == ["two"]
    assert tail.lost is not None


def test_a_line_without_end_does_not_fill_the_memory(log: Path) -> None:
    """A line above a megabyte is cut."""
    append(log, "x" * 2_500_000)
    tail = tail_of(log)
    assert sum(map(len, everything(tail))) > 2_000_000
    assert len("".join(tail.last())) < 1_100_000


def test_bytes_that_are_no_text_are_read_all_the_same(log: Path) -> None:
    """Invalid UTF-8 does not stop the reading."""
    log.write_bytes(b"\xff\xfe broken\n")
    assert everything(tail_of(log)) == ["\ufffd\ufffd broken"]
