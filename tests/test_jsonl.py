"""JSON lines survive kills, full disks and each other."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gaia_checks import jsonl
from gaia_checks.errors import EvidenceError


def test_what_was_appended_is_read_in_order(tmp_path: Path) -> None:
    """Records come back as they went in, text beyond ASCII too."""
    path = tmp_path / "j"
    records: list[dict[str, Any]] = [{"n": 1, "text": "Größe\n"}, {"n": 2.5, "none": None}]
    for record in records:
        jsonl.append(path, record, durable=True)
    assert list(jsonl.read(path)) == records


def test_an_absent_journal_has_no_records(tmp_path: Path) -> None:
    """Nothing written is no error."""
    assert list(jsonl.read(tmp_path / "none")) == []


def test_a_torn_last_line_is_dropped_and_then_removed(tmp_path: Path) -> None:
    """What a kill left behind is not read, and does not spoil what is appended next."""
    path = tmp_path / "j"
    jsonl.append(path, {"n": 1})
    with path.open("a") as file:
        file.write('{"n": 2, "te')
    assert list(jsonl.read(path)) == [{"n": 1}]
    jsonl.append(path, {"n": 3})
    assert list(jsonl.read(path)) == [{"n": 1}, {"n": 3}]


@pytest.mark.parametrize("line", ["nonsense", "[1]", "", "3"])
def test_a_line_that_is_no_object_is_refused_with_its_place(tmp_path: Path, line: str) -> None:
    """A changed file is evidence of nothing."""
    path = tmp_path / "j"
    path.write_text(f'{{"n": 1}}\n{line}\n{{"n": 2}}\n')
    with pytest.raises(EvidenceError, match=r"j:2: "):
        list(jsonl.read(path))


def test_a_number_that_json_does_not_know_is_refused(tmp_path: Path) -> None:
    """NaN never reaches a file."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        jsonl.append(tmp_path / "j", {"n": float("nan")})


WRITER = """
import sys
from pathlib import Path
from typing import Any
from gaia_checks import jsonl
for number in range(200):
    jsonl.append(Path(sys.argv[1]), {"who": sys.argv[2], "n": number, "padding": "x" * 500})
"""


def test_processes_write_to_one_journal_without_mixing_lines(tmp_path: Path) -> None:
    """Every record of every writer is whole and in its writer's order."""
    path = tmp_path / "j"
    writers = [subprocess.Popen((sys.executable, "-c", WRITER, str(path), str(who))) for who in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    records = list(jsonl.read(path))
    for who in range(3):
        assert [record["n"] for record in records if record["who"] == str(who)] == list(range(200))
    assert all(json.dumps(record) for record in records)


def test_a_reader_gives_all_and_reads_only_what_is_new(tmp_path: Path) -> None:
    """Also when a line was not finished at the last time, or was torn and begun anew."""
    path = tmp_path / "journal.jsonl"
    reader = jsonl.Reader(path)
    assert reader.records() == []
    jsonl.append(path, {"n": 1})
    assert reader.records() == [{"n": 1}]
    with path.open("a") as file:
        file.write('{"n": 2')
    assert reader.records() == [{"n": 1}]
    jsonl.append(path, {"n": 3})
    assert reader.records() == [{"n": 1}, {"n": 3}]
    assert reader.records() == list(jsonl.read(path))


def test_a_reader_refuses_what_is_no_record(tmp_path: Path) -> None:
    """With the line's number in the whole file."""
    path = tmp_path / "journal.jsonl"
    jsonl.append(path, {"n": 1})
    reader = jsonl.Reader(path)
    reader.records()
    with path.open("a") as file:
        file.write("[]\n")
    with pytest.raises(EvidenceError, match=r"journal.jsonl:2: a JSON object was expected"):
        reader.records()
