"""Gates of one environment, one a day: real evidence, judged from its files and sealed."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gaia_checks import jsonl
from gaia_checks.environment import environment_file
from gaia_checks.judge import criteria_file, judgement
from gaia_checks.model import Measurement, Release, Verdict, timestamp
from gaia_checks.report import evidence

ENVIRONMENT = environment_file.load("local", variables={})
CRITERIA = criteria_file.load(overrides=ENVIRONMENT.looks)
FIRST = datetime(2026, 2, 26, 10, 0, tzinfo=UTC)
SLOW = {"websocket.first_stats": 9.0}
"""What makes dev.websocket fail."""


def run(day: int) -> str:
    """The run of the gate of a day."""
    return f"{FIRST + timedelta(days=day):%Y%m%dT%H%M%SZ}-{day:06x}"


def gate(
    reports: Path,
    day: int,
    values: Mapping[str, object] | None = None,
    *,
    commit: str = "0" * 40,
    rehearsal: bool = False,
    required: tuple[str, str] = ("", ""),
) -> tuple[Path, Verdict]:
    """Gate stage dev. `values` are measured in place of what passes; `required` changes a text of criteria.toml."""
    at = FIRST + timedelta(days=day)
    folder = evidence.create(reports, ENVIRONMENT, "dev", run(day), CRITERIA.for_stage("dev"), at)
    path = folder / evidence.CRITERIA
    path.write_text(path.read_text().replace(*required))
    _measure(folder, values or {}, at)
    criteria = criteria_file.load(path, ENVIRONMENT.looks)
    judged = judgement.judge(criteria.for_stage("dev"), evidence.read_measurements(folder), rehearsal=True)
    verdict = replace(
        evidence.read_verdict(folder),
        state=judgement.overall(judged),
        rehearsal=rehearsal,
        release=Release("phase-1", commit, commit[:1] * 64, {}),
        criteria=judged,
    )
    evidence.seal(folder, verdict, ENVIRONMENT)
    return folder, verdict


def _measure(folder: Path, values: Mapping[str, object], at: datetime) -> None:
    for criterion in CRITERIA.for_stage("dev"):
        for check in criterion.checks:
            good = 30 if check.rule == "all_good" else check.threshold
            _write(folder, check.measurement, values.get(check.measurement, good), at)
        _write(folder, judgement.outcome_name(criterion.id), "passed", at)
    _write(folder, judgement.FINISHED, True, at)


def _write(folder: Path, name: str, value: object, at: datetime) -> None:
    measurement = Measurement(name, value, "", 30, 300.0, timestamp(at), "measured")
    jsonl.append(folder / evidence.MEASUREMENTS, measurement.to_json())
