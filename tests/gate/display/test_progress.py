"""The progress of a gate, and the time left."""

import json
from pathlib import Path

import pytest

from gaia_checks.gate.display import progress
from gaia_checks.gate.display.progress import ProgressLine
from gaia_checks.judge import criteria_file

LOOKS = criteria_file.load().looks
PROD = {"soak", "log", "load", "protection", "dashboard", "quotas", "rollback", "health"}


def test_progress_is_read_from_timelines_that_are_being_written(tmp_path: Path) -> None:
    """The last complete line counts; a torn line, an empty file and an unknown record are ignored."""
    folder = tmp_path / "timelines"
    folder.mkdir()
    record = {"t": 12.5, "of": 60, "worst": "p99 4 ms"}
    (folder / "load.jsonl").write_text(json.dumps({**record, "t": 11}) + "\n" + json.dumps(record) + "\n" + '{"t": 13')
    (folder / "soak.jsonl").write_text("")
    (folder / "other.jsonl").write_text('{"x": 1}\n')
    assert progress.lines(tmp_path) == [("load", 12.5, 60, "p99 4 ms")]


def test_the_flood_has_a_timeline_of_its_own(tmp_path: Path) -> None:
    """Its files are in a subfolder of the evidence, named after its look."""
    (tmp_path / "protection" / "timelines").mkdir(parents=True)
    (tmp_path / "protection" / "timelines" / "load.jsonl").write_text('{"t": 3, "of": 60, "worst": "0 failed"}\n')
    assert progress.lines(tmp_path) == [("protection", 3, 60, "0 failed")]


def test_a_load_whose_process_ended_is_finished(tmp_path: Path) -> None:
    """It was started for its longest window; once its process has ended, no time is left."""
    (tmp_path / "timelines").mkdir()
    (tmp_path / "timelines" / "load.jsonl").write_text('{"t": 311, "of": 698, "worst": "0 failed"}\n')
    assert [line.runs for line in progress.lines(tmp_path)] == [True]
    assert [line.runs for line in progress.lines(tmp_path, {"gate.exit.load"})] == [False]


@pytest.mark.parametrize(
    ("lines", "elapsed_s", "left_s"),
    [
        ([], 0, 1800),  # the soak lasts longest
        ([ProgressLine("soak", 1790, 1800, "")], 1795, 64 + 304),  # it is nearly over, and no load has started
        ([ProgressLine("soak", 1800, 1800, ""), ProgressLine("protection", 60, 60, "")], 1800, 304),
        (
            [
                ProgressLine("soak", 1800, 1800, ""),
                ProgressLine("protection", 60, 60, ""),
                ProgressLine("load", 310, 698, ""),
            ],
            1800,
            388,
        ),
        (
            [
                ProgressLine("soak", 1800, 1800, ""),
                ProgressLine("protection", 60, 60, ""),
                ProgressLine("load", 698, 698, ""),
            ],
            1800,
            0,
        ),
    ],
)
def test_the_time_left(lines: list[ProgressLine], elapsed_s: float, left_s: float) -> None:
    """Loads wait for one another and for disturbing looks; the longest of all decides."""
    done = [ProgressLine("log", 300, 300, "")]
    assert progress.left_s([*done, *lines], LOOKS, PROD, elapsed_s) == left_s
