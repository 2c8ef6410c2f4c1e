"""The evidence of one gate: `reports/<env>/<run>/`, from its first second to the seal.

    verdict.json        the judgement; inconclusive from the start, so that a gate that is killed never passes
    criteria.toml       what was promised            environment.toml    where, and how hard was looked
    measurements.jsonl  what was observed            timelines/*.jsonl   the same, second by second
    pictures/*/*.jpg    what a look saw of a page    gated.json          which release of what environment

`recompute` judges these files again, without a new look.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from gaia_checks import jsonl, toml
from gaia_checks.environment import Environment
from gaia_checks.errors import CriteriaFileError, EvidenceError
from gaia_checks.judge import criteria as judge_criteria
from gaia_checks.judge import verdict as judge_verdict
from gaia_checks.model import Criterion, CriterionVerdict, Measurement, State, Verdict, timestamp
from gaia_checks.redaction import REDACTED, SECRET_NAMES
from gaia_checks.report import document, words
from gaia_checks.report.redaction import redact_files, redact_json

MEASUREMENTS = "measurements.jsonl"
VERDICT = "verdict.json"
GATED = "gated.json"
REPORT = "report.html"
RESULTS = "allure-results"
PICTURES = "pictures"

_NOT_YET = "not measured yet"


def create(
    reports: Path,
    environment: Environment,
    stage: str,
    run: str,
    criteria: Sequence[Criterion],
    started_at: datetime,
) -> Path:
    """Make the folder of a gate that is about to begin and point `reports/<env>/latest` at it.

    The verdict is there first, inconclusive for every criterion. Raises OSError when it cannot be written.
    """
    folder = reports / environment.name / run
    (folder / "timelines").mkdir(parents=True)
    rehearsal = judge_criteria.load(overrides=environment.looks, source=environment.path.name).rehearsal
    write_verdict(folder, _unseen(environment.name, stage, run, criteria, started_at, rehearsal=rehearsal), None)
    _point_latest_at(folder)
    shutil.copyfile(judge_criteria.PATH, folder / "criteria.toml")
    (folder / "environment.toml").write_text(describe(environment, stage), encoding="utf-8")
    return folder


def describe(environment: Environment, stage: str) -> str:
    """Return environment.toml: what was in force for this gate, without secrets. Pure."""
    redact = environment.redact
    table: dict[str, toml.Value] = {
        "name": environment.name,
        "stage": stage,
        "database": environment.database,
        "host": environment.host,
        "required": environment.required,
    }
    if environment.base_url:
        table["base_url"] = redact(_without_userinfo(environment.base_url))
    if environment.log:
        table["log"] = str(environment.log)
    variables = {
        name: REDACTED if name in SECRET_NAMES else redact(value) for name, value in sorted(environment.values.items())
    }
    names = {f"contract.{kind}": called for kind, called in asdict(environment.names).items() if called}
    looks = {f"looks.{look}": dict(parameters) for look, parameters in environment.looks.items()}
    return toml.document({"environment": table, "environment.variables": variables, **names, **looks})


def read_measurements(folder: Path) -> list[Measurement]:
    """Return what was seen, oldest first. Raises EvidenceError for a line that is no measurement."""
    path = folder / MEASUREMENTS
    try:
        return [Measurement.from_json(record) for record in jsonl.read(path)]
    except (KeyError, TypeError) as error:
        raise EvidenceError(f"{path}: a line is no measurement ({error}); run the gate again") from error


def write_verdict(folder: Path, verdict: Verdict, files: Mapping[str, str] | None) -> None:
    """Put verdict.json in place as a whole: a reader sees the old one or the new one, also after a power cut."""
    path = folder / VERDICT
    draft = path.with_suffix(".json.draft")
    with draft.open("w", encoding="utf-8") as file:
        file.write(document.text(document.to_json(verdict, files)))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    _sync_folder(folder)


def read_verdict(folder: Path) -> Verdict:
    """Return the verdict as it was written. Raises EvidenceError when it is missing or damaged."""
    return _read_sealed(folder)[0]


def redact(folder: Path, environment: Environment) -> list[Path]:
    """Take secrets out of the files that the report is made of; call it before the report is rendered.

    Returns the files that held one. The report itself is left alone: it is made of them.
    """
    return [path for path in redact_files(folder, environment) if path.name != REPORT]


def seal(folder: Path, verdict: Verdict, environment: Environment) -> None:
    """End a gate: no secret in any file, the sha256 of every file beside the verdict, the verdict on the disk."""
    changed = redact(folder, environment)
    if any(RESULTS in path.parts for path in changed):
        (folder / REPORT).unlink(missing_ok=True)  # rendered before the secret was taken out of its sources
    clean, _ = document.from_json(
        redact_json(json.loads(document.text(document.to_json(verdict, None))), environment.redact)
    )
    (folder / GATED).write_text(json.dumps(_gated(clean), indent=2) + "\n", encoding="utf-8")
    write_verdict(folder, clean, hashes(folder))


def hashes(folder: Path) -> dict[str, str]:
    """Return name -> sha256 of every file below `folder` except verdict.json."""
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: _sha256(path) for name, path in sorted(names.items()) if name != VERDICT}


def recompute(folder: Path) -> Verdict:
    """Judge the evidence again, from its files alone.

    A gate that was killed before its seal comes out inconclusive (or failed, where that is certain).
    Raises EvidenceError naming the file that is missing, changed or added since the seal.
    """
    written, files = _read_sealed(folder)
    if files is not None:
        _compare(folder, files, hashes(folder))
        _compare_gated(folder, written)
    criteria, stage = _read_promises(folder)
    measurements = read_measurements(folder)
    if files is None:  # nothing vouches for these files, so none of them may pass anything
        measurements = [seen for seen in measurements if seen.name != judge_verdict.FINISHED]
    judged = judge_verdict.judge(criteria.for_stage(stage), measurements, rehearsal=criteria.rehearsal)
    state = judge_verdict.overall(judged)
    return replace(
        written,
        stage=stage,
        state=state,
        rehearsal=criteria.rehearsal,
        criteria=judged,
        remarks=words.remarks(measurements),
    )


def _unseen(
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
        criteria=tuple(_unseen_criterion(criterion) for criterion in criteria),
    )


def _unseen_criterion(criterion: Criterion) -> CriterionVerdict:
    first = next(check for check in criterion.checks if not check.generator)
    return CriterionVerdict(
        id=criterion.id,
        claim=criterion.claim,
        state=State.INCONCLUSIVE,
        why=_NOT_YET,
        measured=None,
        bound=None,
        threshold=first.threshold,
        unit=first.unit,
        n=0,
        needs_s=None,
    )


def _point_latest_at(folder: Path) -> None:
    """Move the symbolic link by rename: there is no moment without one."""
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
            f"{path}: cannot be read ({error.strerror}); give the folder of a gate's evidence"
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError(f"{path}: no verdict of this version ({error}); run the gate again") from error


def _read_promises(folder: Path) -> tuple[judge_criteria.Criteria, str]:
    """Return the criteria that were in force and the stage, from files that the seal vouches for."""
    path = folder / "environment.toml"
    try:
        described = tomllib.loads(path.read_text(encoding="utf-8"))
        stage = described["environment"]["stage"]
        criteria = judge_criteria.load(folder / "criteria.toml", described.get("looks"), path.name)
        criteria.for_stage(stage)
    except (OSError, KeyError, TypeError, ValueError, CriteriaFileError) as error:
        raise EvidenceError(f"{folder}: cannot be judged again ({error}); run the gate again") from error
    return criteria, stage


def _gated(verdict: Verdict) -> dict[str, Any]:
    """Return what was gated: of the verdict what cannot be computed again. A file of its own, so that it is sealed."""
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make a rename durable where folders can be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
