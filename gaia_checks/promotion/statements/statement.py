"""in-toto statements (https://in-toto.io/Statement/v1) about a release: a gate's verdict, a sign-off, a force. Pure.

The subject is always the release: the sha256 of its executable and of every migration. `schemas/*.json` publish the
predicates. A statement that is read here is only well formed; who signed it is checked elsewhere (`signed`).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gaia_checks.errors import EvidenceError
from gaia_checks.model import STAGES, Release, State
from gaia_checks.promotion.statements.dsse import Envelope

VERDICT, SIGN_OFF, FORCE = "verdict", "sign-off", "force"

_TYPE = "https://in-toto.io/Statement/v1"
_PREDICATE = "urn:gaia-checks:{kind}:v1"
_EXECUTABLE = "build/gaia_server"
_MIGRATION = re.compile(r"migrations/([^/]+)\.sql")
_KEYS: Mapping[str, Mapping[str, type]] = {
    VERDICT: {
        "environment": str, "stage": str, "run": str, "state": str, "rehearsal": bool, "release": dict,
        "criteria": dict, "evidence": dict, "gate": dict, "started_at": str, "at": str,
    },
    SIGN_OFF: {"environment": str, "item": str, "approves": str, "release": dict, "at": str},
    FORCE: {"environment": str, "why": str, "missing": list, "release": dict, "at": str},
}  # fmt: skip
_SHAPES = {
    "environment": r"[a-z][a-z0-9-]*", "item": r"[a-z][a-z0-9-]*", "approves": r"[0-9a-f]{64}",
    "stage": "|".join(STAGES), "state": "|".join(State), "run": r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}",
}  # fmt: skip
_PHASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; `predicate` has the keys of its kind."""

    digest: str  # of the envelope's payload
    kind: str
    environment: str  # of a verdict: the gated one; else the one that is entered
    release: Release
    at: datetime
    predicate: Mapping[str, Any]

    @property
    def namespace(self) -> str:
        """The namespace that it must be signed in."""
        item = f"/{self.predicate['item']}" if self.kind == SIGN_OFF else ""
        return f"gaia-{self.kind}/{self.environment}{item}@v1"

    @property
    def own_namespace(self) -> str:
        """The namespace of a sign-off for a commit of one's own."""
        return self.namespace.replace("gaia-sign-off/", "gaia-sign-off-own/", 1)


def payload(kind: str, release: Release, predicate: Mapping[str, Any]) -> bytes:
    """Return the statement as JSON. The same content gives the same bytes."""
    digests = {_EXECUTABLE: release.sha256, **{f"migrations/{v}.sql": sha for v, sha in release.migrations.items()}}
    statement = {
        "_type": _TYPE,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in digests.items()],
        "predicateType": _PREDICATE.format(kind=kind),
        "predicate": {**predicate, "release": {"phase": release.phase, "commit": release.commit}},
    }
    return json.dumps(statement, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()


def parse(envelope: Envelope) -> Statement:
    """Read a statement. Raises EvidenceError for anything that is none of ours."""
    try:
        record = json.loads(envelope.payload)
        if record["_type"] != _TYPE:
            raise ValueError("not an in-toto statement")
        kind = next((one for one in _KEYS if record["predicateType"] == _PREDICATE.format(kind=one)), None)
        if kind is None:
            raise ValueError("a predicate of another kind")
        predicate = record["predicate"]
        _check(predicate, _KEYS[kind])
        at = datetime.fromisoformat(predicate["at"])
        if at.tzinfo is None:
            raise ValueError("a time without its zone")
        return Statement(envelope.digest, kind, predicate["environment"], _release(record), at, predicate)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EvidenceError(f"statement {envelope.digest[:12]}: not one of gaia-checks: {error!r}") from error


def _check(predicate: Mapping[str, Any], keys: Mapping[str, type]) -> None:
    for key, kind in keys.items():
        if not isinstance(predicate[key], kind):
            raise TypeError(f"{key} is not of type {kind.__name__}")
        if key in _SHAPES and not re.fullmatch(_SHAPES[key], predicate[key]):
            raise ValueError(f"{key}: {predicate[key]!r}")


def _release(record: Mapping[str, Any]) -> Release:
    digests = {one["name"]: one["digest"]["sha256"] for one in record["subject"]}
    named = record["predicate"]["release"]
    if not _PHASE.fullmatch(named["phase"]) or not _COMMIT.fullmatch(named["commit"]):
        raise ValueError("release: no phase and commit")
    executable = digests.pop(_EXECUTABLE)
    if len(digests) + 1 != len(record["subject"]) or not all(map(_MIGRATION.fullmatch, digests)):
        raise ValueError("subject: not one executable and its migrations")
    migrations = {name.removeprefix("migrations/").removesuffix(".sql"): sha for name, sha in digests.items()}
    return Release(named["phase"], named["commit"], executable, migrations)
