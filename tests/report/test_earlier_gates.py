"""The gates before one: which are read, and what they say about each criterion."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gaia_checks.model import State
from gaia_checks.report import earlier_gates, evidence
from gaia_checks.report.earlier_gates import FOREIGN, MOST, UNFINISHED, UNREADABLE, History
from tests.report import past

WEBSOCKET = "dev.websocket"


def history(reports: Path, *slow: bool) -> History:
    """The history of gates of which some fail dev.websocket; each has its own commit."""
    for day, fails in enumerate(slow):
        folder, verdict = past.gate(reports, day, past.SLOW if fails else {}, commit=str(day) * 40)
    return earlier_gates.read(folder, verdict)


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change verdict.json."""
    path = folder / evidence.VERDICT
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("slow", "since"),
    [
        ([False], "pass; not judged before"),
        ([True], "fails; not judged before"),
        ([False, False, False], "pass in all 3 runs since 2026-02-26"),
        ([True, False, False], "pass since 2026-02-27 (2 runs), before: fail"),
        ([True, True, False], "pass since 2026-02-28 (this run), before: fail"),
        ([False, True, True], f"fails since run {past.run(1)} (commit 1111111), before: pass"),
        ([True, True], "fails in both runs since 2026-02-26"),
    ],
)
def test_a_criterion_has_its_state_since_a_gate(tmp_path: Path, slow: list[bool], since: str) -> None:
    """Counted back from the gate; a failure names the run and the release in which it began."""
    assert history(tmp_path, *slow).since(WEBSOCKET) == since


def test_gates_that_did_not_judge_a_criterion_do_not_count(tmp_path: Path) -> None:
    """A gate of an earlier stage says nothing about it."""
    found = history(tmp_path, False, False, False)
    middle = found.gates[1]
    without = [each for each in middle.verdict.criteria if each.id != WEBSOCKET]
    gates = (found.gates[0], replace(middle, verdict=replace(middle.verdict, criteria=tuple(without))), found.gates[2])
    assert replace(found, gates=gates).since(WEBSOCKET) == "pass in both runs since 2026-02-26"


def test_what_fails_now_names_the_gate_in_which_it_passed_last(tmp_path: Path) -> None:
    """Also where it failed in between; not where it never passed, and not what passes now."""
    assert history(tmp_path / "1", False, False, True, True).passed_last() == {
        WEBSOCKET: f"run {past.run(1)} (commit 1111111)"
    }
    assert history(tmp_path / "2", True, True).passed_last() == {}
    assert history(tmp_path / "3", True, False).passed_last() == {}


def test_a_pass_that_does_not_compare_says_so(tmp_path: Path) -> None:
    """A rehearsal, or a gate by other criteria, proves less about this one."""
    past.gate(tmp_path, 0, rehearsal=True, required=("threshold = 6,", "threshold = 60,"))
    folder, verdict = past.gate(tmp_path, 1, past.SLOW)
    assert earlier_gates.read(folder, verdict).passed_last() == {
        WEBSOCKET: f"run {past.run(0)} (commit 0000000, rehearsal), by other criteria"
    }


@pytest.mark.parametrize(
    ("slow", "since"),
    [
        ([False, False, False], "pass in all 3 runs since 2026-02-26 (1 in a rehearsal, 2 by other criteria)"),
        ([True, False, False], "pass since 2026-02-27 (2 runs: 1 by other criteria), before: fail in a rehearsal"),
        (
            [False, False, True],
            f"fails since run {past.run(2)} (commit 0000000), before: pass by other criteria",
        ),
    ],
)
def test_runs_that_compare_less_are_counted_apart(tmp_path: Path, slow: list[bool], since: str) -> None:
    """A streak over changed criteria, or over rehearsals before a full gate, says so."""
    changed = ("threshold = 11,", "threshold = 12,")
    for day, fails in enumerate(slow):
        values = past.SLOW if fails else {}
        folder, verdict = past.gate(
            tmp_path, day, values, rehearsal=day == 0, required=("", "") if day > 1 else changed
        )
    assert earlier_gates.read(folder, verdict).since(WEBSOCKET) == since


def test_the_last_twenty_gates_are_read_oldest_first(tmp_path: Path) -> None:
    """The gate itself is the twentieth."""
    found = history(tmp_path, *[False] * (MOST + 3))
    assert [gate.verdict.run for gate in found.gates] == [past.run(day) for day in range(3, MOST + 3)]
    assert found.left_out == {}


def test_a_later_gate_is_not_in_the_history_of_an_earlier_one(tmp_path: Path) -> None:
    """An old gate that is shown again has the history that it had."""
    folder, verdict = past.gate(tmp_path, 1)
    for day in (0, 2):
        past.gate(tmp_path, day)
    assert [gate.verdict.run for gate in earlier_gates.read(folder, verdict).gates] == [past.run(0), past.run(1)]


def test_a_copy_of_a_gate_counts_once(tmp_path: Path) -> None:
    """Whatever its folder is called."""
    earlier, _ = past.gate(tmp_path, 0)
    folder, verdict = past.gate(tmp_path, 1)
    for original in (earlier, folder):
        copy = folder.parent / f"copy-of-{original.name}"
        copy.mkdir()
        (copy / evidence.VERDICT).write_bytes((original / evidence.VERDICT).read_bytes())
    found = earlier_gates.read(folder.parent / "latest", verdict)
    assert [gate.verdict.run for gate in found.gates] == [past.run(0), past.run(1)]
    assert found.left_out == {}


def test_gates_that_did_not_finish_or_are_of_others_are_left_out(tmp_path: Path) -> None:
    """A killed gate is inconclusive for every criterion, which says nothing about the server."""
    killed, _ = past.gate(tmp_path, 0)
    edit(killed, lambda record: record.pop("files"))
    other, _ = past.gate(tmp_path, 1)
    edit(other, lambda record: record.update(environment="qa"))
    folder, verdict = past.gate(tmp_path, 2)
    found = earlier_gates.read(folder, verdict)
    assert len(found.gates) == 1
    assert found.left_out == {UNFINISHED: 1, FOREIGN: 1}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"schema": 1}', b'{"schema": 0, "state": "pass"}', b"[" * 200_000,
        b" " * 6_000_000,
    ],
)  # fmt: skip
def test_a_verdict_that_cannot_be_read_is_counted(tmp_path: Path, content: bytes) -> None:
    """Torn, of another version, bottomless or endless: the gates around it are read."""
    past.gate(tmp_path, 0)
    broken, _ = past.gate(tmp_path, 1)
    (broken / evidence.VERDICT).write_bytes(content)
    folder, verdict = past.gate(tmp_path, 2)
    found = earlier_gates.read(folder, verdict)
    assert [gate.verdict.run for gate in found.gates] == [past.run(0), past.run(2)]
    assert found.left_out == {UNREADABLE: 1}


def set_check(key: str, value: object) -> Callable[[dict[str, Any]], object]:
    """Set a field of the first check of a verdict."""
    return lambda record: record["criteria"][0]["checks"][0].update({key: value})


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(started_at="2026-02-26T10:00:00"),
        lambda record: record.update(started_at="0001-01-01T00:00:00+14:00"),
        lambda record: record.update(started_at=7),
        lambda record: record.update(run="r" * 1_000),
        lambda record: record.update(run=None),
        lambda record: record.update(release=[1]),
        lambda record: record.update(rehearsal="no"),
        lambda record: record["release"].update(commit={}),
        lambda record: record["criteria"][0].update(id=["dev.process"]),
        set_check("measured", {"counts": [1]}),
        set_check("measured", float("nan")),
        set_check("threshold", 10**400),
        set_check("bound", "much"),
        set_check("relation", "<" * 1_000),
    ],
)
def test_a_verdict_that_no_gate_wrote_is_counted(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """What could not be drawn is not read."""
    broken, _ = past.gate(tmp_path, 0)
    edit(broken, change)
    folder, verdict = past.gate(tmp_path, 1)
    found = earlier_gates.read(folder, verdict)
    assert (len(found.gates), found.left_out) == (1, {UNREADABLE: 1})


def test_a_verdict_that_is_missing_or_no_file_is_counted(tmp_path: Path) -> None:
    """A pipe is not waited for."""
    for day in (0, 1):
        broken, _ = past.gate(tmp_path, day)
        (broken / evidence.VERDICT).unlink()
    os.mkfifo(broken / evidence.VERDICT)
    folder, verdict = past.gate(tmp_path, 2)
    assert earlier_gates.read(folder, verdict).left_out == {UNREADABLE: 2}


def test_only_the_verdict_of_an_earlier_gate_is_read(tmp_path: Path) -> None:
    """The rest of its evidence may be gone."""
    earlier, _ = past.gate(tmp_path, 0)
    for path in earlier.rglob("*"):
        if path.is_file() and path.name != evidence.VERDICT:
            path.unlink()
    folder, verdict = past.gate(tmp_path, 1)
    first, last = earlier_gates.read(folder, verdict).gates
    assert first.verdict.state is State.PASS
    assert first.criteria == last.criteria


def test_a_folder_that_is_gone_has_no_history(tmp_path: Path) -> None:
    """Evidence that is shown without its folder has the gate alone."""
    _, verdict = past.gate(tmp_path, 0)
    assert len(earlier_gates.read(tmp_path / "missing" / "run", verdict).gates) == 1
