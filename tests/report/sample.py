"""A gate that has ended, as the report finds it: real Allure results, timelines, and a verdict with every state."""

import math
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from gaia_checks import jsonl
from gaia_checks.environment import environment_file
from gaia_checks.judge import criteria_file, judgement
from gaia_checks.model import Measurement, Release, Verdict
from gaia_checks.report import evidence, page

RUN = "20260226T100000Z-3fa9c1"
PICTURE = b"\xff\xd8\xff\xe0\0 of a page"
AT = datetime(2026, 2, 26, 10, 0, tzinfo=UTC)

_SUITE = '''
"""A suite like those of the gate."""
import allure, pytest

class Inconclusive(Exception):
    """The evidence does not decide."""

@pytest.mark.criterion("dev.health")
def test_health():
    """Passes."""
    allure.attach("old", "evidence", allure.attachment_type.TEXT)
    allure.attach("a picture", "screenshot", allure.attachment_type.TEXT)

@pytest.mark.criterion("dev.api")
def test_api():
    """Fails."""
    raise AssertionError("one route is wrong")

@pytest.mark.criterion("dev.log")
def test_log():
    """Does not decide."""
    raise Inconclusive("observed for 3 s")
'''
TESTS = {"dev.health": "test_health", "dev.api": "test_api", "dev.log": "test_log"}
OUTCOMES = {"dev.health": "passed", "dev.api": "failed: one route is wrong", "dev.log": "failed: Inconclusive"}


def ended_gate(reports: Path) -> tuple[Path, Verdict]:
    """Return the folder and verdict of a gate in which one criterion passed, one failed and the rest is open."""
    environment = environment_file.load("local", variables={})
    criteria = criteria_file.load(overrides=environment.looks)
    folder = evidence.create(reports, environment, "prod", RUN, criteria.for_stage("prod"), AT)
    _run_suite(folder)
    _measure(folder)
    picture = folder / evidence.PICTURES / "health" / "1-page.jpg"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(PICTURE)
    judged = judgement.judge(criteria.for_stage("prod"), evidence.read_measurements(folder), rehearsal=True)
    verdict = replace(
        evidence.read_verdict(folder),
        duration_s=74.2,
        state=judgement.overall(judged),
        release=Release("phase-11.4", "0123456789abcdef" * 2 + "01234567", "a" * 64, {"050_rate_limiting": "b" * 64}),
        criteria=judged,
    )
    (folder / "verdict.md").write_text(page.markdown(verdict))
    return folder, verdict


def _run_suite(folder: Path) -> None:
    suite = folder.parent / "suites"
    suite.mkdir()
    (suite / "test_all.py").write_text(_SUITE)
    (suite.parent / "pytest.ini").write_text("[pytest]\nmarkers = criterion(id): judged\n")
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
         f"--alluredir={folder / 'allure-results'}", "suites"],
        cwd=suite.parent, capture_output=True, check=False,
    )  # fmt: skip


def _measure(folder: Path) -> None:
    record(folder, "target.tls", value=False, how="plain http")
    record(folder, "health.good", 30, n=30)
    record(folder, "gate.health_after", value=True)
    record(folder, "api.contract_kept", 13, n=14, note="GET /api/admin/quotas/usage: status 500 instead of 200 | <b>")
    record(folder, "api.bad_input_rejected", 22, n=22)
    record(folder, "api.server_errors", 1, n=41)
    record(folder, "log.read_from_start", value=True, window_s=3)
    record(folder, "log.errors", 0, window_s=3)
    record(folder, "log.tracebacks", 0, window_s=3)
    for criterion, test in TESTS.items():
        nodeid = f"suites/test_all.py::{test}"
        record(folder, judgement.outcome_name(criterion), OUTCOMES[criterion], how=nodeid)
    record(folder, judgement.FINISHED, value=True)
    for second in range(60):
        wave = math.sin(second / 5)
        load = {
            "t": second,
            "of": 60,
            "worst": "p99 12 ms",
            "p50_ms": 2 + wave,
            "p99_ms": 9 + 3 * wave,
            "failures": 0,
        }
        jsonl.append(folder / "timelines" / "load.jsonl", load)
        memory = {"t": second, "of": 60, "worst": "81 MB", "resident_mb": 80 + wave}
        jsonl.append(folder / "timelines" / "memory.jsonl", memory)


def record(
    folder: Path, name: str, value: object, *, n: int = 1, window_s: float = 60, how: str = "measured", note: str = ""
) -> None:
    """Write one measurement."""
    notes = (note,) if note else ()
    measurement = Measurement(name, value, "", n, window_s, "2026-02-26T10:01:00.000Z", how, notes)
    jsonl.append(folder / "measurements.jsonl", measurement.to_json())
