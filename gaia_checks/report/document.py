"""Serialise and parse verdict.json. Pure."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gaia_checks.model import CriterionVerdict, Finding, Release, State, Verdict

SCHEMA = 1


def to_json(verdict: Verdict, files: Mapping[str, str] | None) -> dict[str, Any]:
    """Return the JSON object of verdict.json.

    `files` is name -> sha256 of every other file of the folder; None until the gate has finished.
    """
    record = {"schema": SCHEMA, **asdict(verdict)}
    return record if files is None else {**record, "files": dict(sorted(files.items()))}


def from_json(record: Mapping[str, Any]) -> tuple[Verdict, dict[str, str] | None]:
    """Read what `to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
    if record["schema"] != SCHEMA:
        raise ValueError(f"schema {record['schema']!r} is not {SCHEMA}")
    files = record.get("files")
    if not isinstance(files, dict | None):
        raise TypeError("files is not a table of hashes")
    fields = {key: value for key, value in record.items() if key not in ("schema", "files")}
    release = fields["release"]
    verdict = Verdict(
        **{
            **fields,
            "state": State(fields["state"]),
            "release": Release(**release) if release else None,
            "criteria": tuple(_criterion(criterion) for criterion in fields["criteria"]),
            "remarks": tuple(fields.get("remarks", ())),
        }
    )
    return verdict, files


def text(record: Mapping[str, Any]) -> str:
    """Return a JSON object as indented text with one line feed at the end."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def _criterion(record: Mapping[str, Any]) -> CriterionVerdict:
    findings = tuple(Finding(**{**finding, "state": State(finding["state"])}) for finding in record["checks"])
    return CriterionVerdict(**{**record, "state": State(record["state"]), "checks": findings})
