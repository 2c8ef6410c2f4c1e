"""The evidence of one gate: `reports/<env>/<run>/`, from its creation to the seal.

    verdict.json        the verdict; inconclusive from the start, so that a killed gate never passes
    criteria.toml       the criteria; own/: those of the user's own, and their tests
                                                     environment.toml    the target, and the looks' parameters
    measurements.jsonl  the measurements             timelines/*.jsonl   the samples, second by second
    pictures/*/*.jpg    screenshots of a page        gated.json          release and environment
    invocation.json     options, variables and plugins of pytest
    locustfile.py       the load's mix, where it is the user's own
    statement.json      the signed statement about all of it, where the gate has a key

`recompute` judges these files again, without new measurements.
"""

import json
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import tomli_w

from gaia_checks import files, jsonl
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import CriteriaFileError, EvidenceError
from gaia_checks.judge import criteria_file, judgement
from gaia_checks.model import Criterion, Measurement, State, Verdict, timestamp
from gaia_checks.redaction import REDACTED, SECRET_NAMES
from gaia_checks.report import document, words
from gaia_checks.report.evidence_redaction import redact_files, redact_json

MEASUREMENTS = "measurements.jsonl"
VERDICT = "verdict.json"
SUMMARY = "verdict.md"
STATEMENT = "statement.json"
GATED = "gated.json"
INVOCATION = "invocation.json"
REPORT = "report.html"
RESULTS = "allure-results"
DECISION = "decision.html"
"""The report's first page, among the results."""

JUNIT = "junit.xml"
PICTURES = "pictures"
ADAPTER = "adapter.py"
CRITERIA = "criteria.toml"
LOCUSTFILE = "locustfile.py"
OWN = "own"
"""The folder of the user's own criteria file and its tests."""

_NOT_YET = "not checked yet"


def create(
    reports: Path,
    environment: Environment,
    stage: str,
    run: str,
    criteria: Sequence[Criterion],
    started_at: datetime,
) -> Path:
    """Create the folder of a starting gate and point `reports/<env>/latest` at it.

    The verdict is written first, inconclusive for every criterion. Raises OSError when it cannot be written.
    """
    folder = reports / environment.name / run
    (folder / "timelines").mkdir(parents=True)
    loaded = criteria_file.load(
        overrides=environment.looks,
        source=environment.path.name,
        own=environment.criteria,
        limits=environment.no_regression,
    )
    write_verdict(
        folder, _unchecked(environment.name, stage, run, criteria, started_at, rehearsal=loaded.rehearsal), None
    )
    _point_latest_at(folder)
    shutil.copyfile(criteria_file.PATH, folder / CRITERIA)
    if environment.criteria:
        _copy_own(environment.criteria, folder / OWN)
    if environment.names.adapter:
        (folder / ADAPTER).write_text(environment.names.adapter, encoding="utf-8")
    if environment.load.locustfile:
        shutil.copyfile(environment.load.locustfile, folder / LOCUSTFILE)
    (folder / "environment.toml").write_text(describe(environment, stage), encoding="utf-8")
    return folder


def _copy_own(criteria: Path, folder: Path) -> None:
    folder.mkdir()
    shutil.copyfile(criteria, folder / CRITERIA)
    for test in sorted(criteria.parent.glob("*.py")):
        shutil.copyfile(test, folder / test.name)


def own_criteria(folder: Path) -> Path | None:
    """Return the user's own criteria file in the evidence in `folder`; None where there was none."""
    file = folder / OWN / CRITERIA
    return file if file.exists() else None


def describe(environment: Environment, stage: str) -> str:
    """Return environment.toml: the settings of this gate, without secrets. Pure."""
    redact = environment.redact
    table: dict[str, Any] = {
        "name": environment.name,
        "stage": stage,
        "database": environment.database,
        "host": environment.host,
        "required": environment.required,
    }
    if environment.base_url:
        table["base_url"] = redact(_without_userinfo(environment.base_url))
    if environment.instances:
        table["instances"] = [redact(_without_userinfo(url)) for url in environment.instances]
    if environment.log:
        table["log"] = str(environment.log)
    table["variables"] = {
        name: REDACTED if name in SECRET_NAMES else redact(value) for name, value in sorted(environment.values.items())
    }
    names = {kind: called for kind, called in asdict(environment.names).items() if called}
    names |= {"adapter": ADAPTER} if environment.names.adapter else {}
    contract = {"contract": names} if names else {}
    looks = {"looks": environment.looks} if environment.looks else {}
    load = {name: value for name, value in environment.load.to_json().items() if value is not None}
    load |= {"locustfile": LOCUSTFILE} if environment.load.locustfile else {}
    limits = {"no_regression": environment.no_regression} if environment.no_regression else {}
    return tomli_w.dumps({"environment": table, "load": load, **contract, **limits, **looks})


def read_measurements(folder: Path) -> list[Measurement]:
    """Return the measurements, oldest first. Raises EvidenceError for an invalid line."""
    path = folder / MEASUREMENTS
    try:
        return [Measurement.from_json(record) for record in jsonl.read(path)]
    except (KeyError, TypeError) as error:
        raise EvidenceError(f"{path}: a line is not a measurement ({error}); run the gate again") from error


def write_verdict(folder: Path, verdict: Verdict, hashed: Mapping[str, str] | None) -> None:
    """Replace verdict.json atomically: a reader gets the old or the new one, even after a power failure."""
    files.replace(folder / VERDICT, document.text(document.to_json(verdict, hashed)), durable=True)


def read_verdict(folder: Path) -> Verdict:
    """Return the written verdict. Raises EvidenceError when it is missing or damaged."""
    return _read_sealed(folder)[0]


def report_in(folder: Path) -> Path:
    """Return what people read of a gate: its report, or the verdict's summary where no report could be written."""
    return folder / (REPORT if (folder / REPORT).exists() else SUMMARY)


def redact(folder: Path, environment: Environment) -> list[Path]:
    """Redact secrets in the sources of the report; call it before the report is rendered.

    Returns the files that contained one. The report itself is skipped: it is rendered from them.
    """
    return [path for path in redact_files(folder, environment) if path.name != REPORT]


def redacted(verdict: Verdict, environment: Environment) -> Verdict:
    """Return the verdict without secrets: before it is escaped for a page, where no search would find them."""
    record = json.loads(document.text(document.to_json(verdict, None)))
    return document.from_json(redact_json(record, environment.redact))[0]


def seal(folder: Path, verdict: Verdict, environment: Environment) -> None:
    """Seal a gate: redact every file, add the sha256 of every file to the verdict, and write it durably."""
    changed = redact(folder, environment)
    if any(RESULTS in path.parts for path in changed):
        (folder / REPORT).unlink(missing_ok=True)  # rendered before its sources were redacted
    clean = redacted(verdict, environment)
    (folder / GATED).write_text(json.dumps(_gated(clean), indent=2) + "\n", encoding="utf-8")
    write_verdict(folder, clean, hashes(folder))


def hashes(folder: Path) -> dict[str, str]:
    """Return name -> sha256 of every file below `folder` except verdict.json and the signed statement about it."""
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: files.sha256(path) for name, path in sorted(names.items()) if name not in (VERDICT, STATEMENT)}


def recompute(folder: Path) -> Verdict:
    """Judge the evidence again, from its files alone.

    A gate that was killed before its seal is inconclusive (or failed, if that is certain).
    Raises EvidenceError naming the file that is missing, changed or added since the seal.
    """
    written, sealed = _read_sealed(folder)
    if sealed is not None:
        _compare(folder, sealed, hashes(folder))
        _compare_gated(folder, written)
    criteria, stage = _read_criteria(folder)
    measurements = read_measurements(folder)
    if sealed is None:  # these files are not sealed, so no criterion may pass
        measurements = [each for each in measurements if each.name != judgement.FINISHED]
    judged = judgement.judge(criteria.for_stage(stage), measurements, rehearsal=criteria.rehearsal)
    state = judgement.overall(judged)
    return replace(
        written,
        stage=stage,
        state=state,
        rehearsal=criteria.rehearsal,
        criteria=judged,
        remarks=words.remarks(measurements),
    )


def criteria_of(folder: Path) -> criteria_file.Criteria:
    """Return the criteria of a gate, with the parameters of its environment. Raises EvidenceError."""
    return _read_criteria(folder)[0]


def _unchecked(
    environment: str, stage: str, run: str, criteria: Sequence[Criterion], started_at: datetime, *, rehearsal: bool
) -> Verdict:
    return Verdict(
        environment=environment,
        stage=stage,
        run=run,
        started_at=timestamp(started_at),
        duration_s=0.0,
        state=State.INCONCLUSIVE,
        rehearsal=rehearsal,
        release=None,
        criteria=tuple(judgement.unmeasured(criterion, State.INCONCLUSIVE, _NOT_YET) for criterion in criteria),
    )


def _point_latest_at(folder: Path) -> None:
    """Replace the symbolic link by rename, so that it always exists."""
    draft = folder.parent / f".latest.{folder.name}"
    draft.symlink_to(folder.name)
    draft.replace(folder.parent / "latest")


def _without_userinfo(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _read_sealed(folder: Path) -> tuple[Verdict, dict[str, str] | None]:
    path = folder / VERDICT
    try:
        return document.from_json(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise EvidenceError(
            f"{path}: cannot be read ({error.strerror}); pass the folder of a gate's evidence"
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError(f"{path}: not a verdict of this version ({error}); run the gate again") from error


def _read_criteria(folder: Path) -> tuple[criteria_file.Criteria, str]:
    """Return the gate's criteria and stage, from sealed files."""
    path = folder / "environment.toml"
    try:
        described = tomllib.loads(path.read_text(encoding="utf-8"))
        stage = described["environment"]["stage"]
        criteria = criteria_file.load(
            folder / CRITERIA,
            described.get("looks"),
            path.name,
            own_criteria(folder),
            described.get("no_regression"),
        )
        criteria.for_stage(stage)
    except (OSError, KeyError, TypeError, ValueError, CriteriaFileError) as error:
        raise EvidenceError(f"{folder}: cannot be judged again ({error}); run the gate again") from error
    return criteria, stage


def _gated(verdict: Verdict) -> dict[str, Any]:
    """Return the part of the verdict that cannot be recomputed; it is a separate file, so that it is sealed."""
    release = asdict(verdict.release) if verdict.release else None
    return {"environment": verdict.environment, "run": verdict.run, "release": release}


def _compare_gated(folder: Path, written: Verdict) -> None:
    path = folder / GATED
    try:
        sealed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvidenceError(f"{path}: cannot be read ({error}); run the gate again") from error
    if sealed != _gated(written):
        raise EvidenceError(f"{folder / VERDICT}: changed after the evidence was sealed; run the gate again")


def _compare(folder: Path, sealed: Mapping[str, str], found: Mapping[str, str]) -> None:
    for name in sorted(sealed.keys() | found.keys()):
        if name not in found:
            raise EvidenceError(f"{folder / name}: missing since the evidence was sealed; run the gate again")
        if name not in sealed:
            raise EvidenceError(
                f"{folder / name}: added after the evidence was sealed; remove it or run the gate again"
            )
        if sealed[name] != found[name]:
            raise EvidenceError(f"{folder / name}: changed after the evidence was sealed; run the gate again")
