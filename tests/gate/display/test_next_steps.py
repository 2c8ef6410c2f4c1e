"""What a person does next."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gaia_checks.gate.display import next_steps
from gaia_checks.gate.display.next_steps import NextSteps
from gaia_checks.judge import criteria_file, judgement, stalls
from gaia_checks.model import CriterionVerdict, State
from tests.gate.display.test_verdict_view import CRITERIA, criterion, verdict


def step(folder: Path, judged: CriterionVerdict) -> str | None:
    """Return the next step of one criterion of the gate in `folder`."""
    return NextSteps(verdict(judged), folder, CRITERIA).of(judged)


def failed(identifier: str, why: str) -> CriterionVerdict:
    """Make a failed criterion."""
    return replace(criterion(State.FAIL, why), id=identifier)


def log(folder: Path, *records: dict[str, str]) -> None:
    """Write the copy of the server's log that a gate keeps."""
    lines = [json.dumps({"time": "2026-02-26T10:00:05.000Z", "level": "ERROR", **record}) for record in records]
    (folder / "server.log").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


TRACEBACK = """Traceback (most recent call last):
  File "/srv/gaia/decide.py", line 45, in decide
    rule["limit"]
KeyError: 'limit'"""


def test_every_look_of_a_criterion_has_a_step() -> None:
    """A criterion that is added needs one."""
    assert {each.look for each in criteria_file.load(criteria_file.PATH).criteria} <= set(next_steps.STEPS)


def test_a_failure_names_the_file_of_the_evidence(tmp_path: Path) -> None:
    """The file that shows more if the gate wrote it, else the report."""
    grown = failed("prod.memory", "memory.peak is 700 MB")
    assert step(tmp_path, grown) == f"open {tmp_path}/report.html: look at when it grew"
    (tmp_path / "timelines").mkdir()
    (tmp_path / "timelines" / "memory.jsonl").touch()
    assert step(tmp_path, grown) == f"open {tmp_path}/timelines/memory.jsonl: look at when it grew"


def test_a_route_that_failed_names_the_servers_own_traceback(tmp_path: Path) -> None:
    """The line in the log, the exception and where it was raised; the one with the route's path before others."""
    log(
        tmp_path,
        {"msg": "no pool", "exception": "Traceback (most recent call last):\nTimeoutError: pool"},
        {"msg": "failed", "path": "/api/limits", "exception": TRACEBACK},
    )
    why = "1 of 17 wrong; worst: GET /api/limits answered status 500"
    assert step(tmp_path, failed("dev.api", why)) == f"open {tmp_path}/server.log:2: KeyError: 'limit' (decide.py:45)"
    other = "1 of 17 wrong; worst: GET /api/limits answered status 404"
    assert step(tmp_path, failed("dev.api", other)) == f"open {tmp_path}/report.html: send the request above yourself"


def test_an_error_in_the_log_is_shown_with_its_line(tmp_path: Path) -> None:
    """The first error since the gate started; those before it are of other gates."""
    log(tmp_path, {"time": "2026-02-26T09:00:00.000Z", "msg": "old"}, {"msg": "cannot write"}, {"msg": "again"})
    assert step(tmp_path, failed("dev.log", "log.errors is 2")) == f"open {tmp_path}/server.log:2: cannot write"


@pytest.mark.parametrize(
    "why",
    [
        f"{judgement.BUSY}: load.cpu_of_others is 0.6",
        f"{judgement.UNRELIABLE}: load.send_lateness_p99 is 12 ms",
        f"{stalls.STOOD_STILL} for 0.40 s in one stall",
    ],
)
def test_a_doubtful_machine_is_the_thing_to_change(tmp_path: Path, why: str) -> None:
    """No setting helps there."""
    assert "quieter machine" in str(step(tmp_path, criterion(State.INCONCLUSIVE, why, needs_s=60)))


def test_no_window_is_recommended_that_nobody_would_wait_for(tmp_path: Path) -> None:
    """Five days are no answer."""
    text = str(step(tmp_path, criterion(State.INCONCLUSIVE, "p99 is 99.9 ms", needs_s=440_120)))
    assert "better than the threshold" in text
    assert "440" not in text


def test_what_was_cut_short_is_repeated(tmp_path: Path) -> None:
    """Its window is long enough."""
    cut = criterion(State.INCONCLUSIVE, f"{judgement.CUT_SHORT}3 s of 300 s", needs_s=297)
    assert step(tmp_path, cut) == "repeat it and let it run to its end"


def test_a_reason_that_says_itself_what_to_do_has_no_step(tmp_path: Path) -> None:
    """Nothing is invented."""
    assert step(tmp_path, criterion(State.INCONCLUSIVE, "12 samples, required: 100")) is None
