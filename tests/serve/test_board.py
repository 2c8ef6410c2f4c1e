"""What the page knows: read at most every few seconds, by one thread, whatever happens to a reading."""

import threading

import pytest

from gaia_checks.promotion.environment_row import EnvironmentRow
from gaia_checks.serve import board
from gaia_checks.serve.board import Board


def test_many_readers_share_one_reading() -> None:
    """Twenty at a time, and one soon after: the records are read once."""
    readings = []

    def read() -> list[EnvironmentRow]:
        readings.append(1)
        return [EnvironmentRow("qa")]

    shown = Board(read)
    threads = [threading.Thread(target=shown.newest) for _ in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [row.environment for row in shown.newest().rows] == ["qa"]
    assert readings == [1]


def test_a_later_reader_gets_what_is_true_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the rows are old enough they are read anew, before the answer."""
    monkeypatch.setattr(board, "EVERY_S", 0.0)
    names = iter(("first", "second"))
    shown = Board(lambda: [EnvironmentRow(next(names))])
    assert shown.newest().rows[0].environment == "first"
    assert shown.newest().rows[0].environment == "second"


def test_a_reading_that_takes_long_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader gets what there is, of its time; nobody starts a second reading."""
    monkeypatch.setattr(board, "_PATIENCE_S", 0.0)
    answered, readings = threading.Event(), []

    def read() -> list[EnvironmentRow]:
        readings.append(1)
        answered.wait(30)
        return [EnvironmentRow("qa")]

    shown = Board(read)
    assert (shown.newest().at, shown.newest().rows) == (None, ())
    monkeypatch.setattr(board, "_PATIENCE_S", 30.0)
    answered.set()
    assert shown.newest().at
    assert readings == [1]


def test_a_reading_that_fails_says_why_and_the_next_may_succeed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of before stay, with the fault and without this process's secrets."""
    monkeypatch.setattr(board, "EVERY_S", 0.0)
    monkeypatch.setenv("ADMIN_TOKEN", "secret-canary-value")
    rows: list[EnvironmentRow] | None = [EnvironmentRow("qa")]

    def read() -> list[EnvironmentRow]:
        if rows is None:
            raise ValueError("no secret-canary-value\x1b[2J")
        return rows

    shown = Board(read)
    before = shown.newest()
    rows = None
    failed = shown.newest()
    assert (failed.rows, failed.at, failed.fault) == (before.rows, before.at, r"ValueError: no ***\x1b[2J")
    rows = []
    assert shown.newest().fault is None
