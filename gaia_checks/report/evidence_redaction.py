"""Redact secrets in written files, and refuse secrets that cannot be redacted: the last line of defence.

JSON is redacted value by value, so that it stays valid JSON: a pattern applied to the text could match across quotes.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from gaia_checks.environment.environment import Environment
from gaia_checks.errors import ConfigurationError
from gaia_checks.judge import judgement
from gaia_checks.judge.criteria_file import RULES
from gaia_checks.model import STAGES, Check, Criterion, CriterionVerdict, Finding, Measurement, State, Verdict
from gaia_checks.redaction import SECRET_NAMES, secrets_among

Redact = Callable[[str], str]

_PICTURES = {".jpg", ".png"}  # they contain no text


def refuse_words(environment: Environment, criteria: Sequence[Criterion]) -> None:
    """Refuse secrets that are part of the evidence's own words: redacting them would destroy the evidence.

    Raises ConfigurationError.
    """
    names = {check.measurement for criterion in criteria for check in criterion.checks}
    keys = {field.name for kind in (Measurement, Verdict, CriterionVerdict, Finding, Check) for field in fields(kind)}
    ids = {criterion.id for criterion in criteria}
    words = "\n".join({*names, *keys, *ids, *State, *STAGES, *RULES, judgement.FINISHED, "passed", environment.name})
    for name in SECRET_NAMES & environment.values.keys():
        if any(secret in words for secret in secrets_among({name: environment.values[name]})):
            raise ConfigurationError(
                f"{environment.name}: {name} is part of a word of every report, so redacting it would destroy "
                "the evidence; choose another secret"
            )


def redact_files(folder: Path, environment: Environment) -> list[Path]:
    """Rewrite the text files below `folder` that contain a secret, and return them."""
    redact = environment.redact
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and _redact_file(path, redact)]


def redact_json(value: Any, redact: Redact) -> Any:
    """Return a JSON value with every string redacted, keys included."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [redact_json(item, redact) for item in value]
    if isinstance(value, dict):
        return {redact(key): redact_json(item, redact) for key, item in value.items()}
    return value


def _redact_file(path: Path, redact: Redact) -> bool:
    if path.suffix in _PICTURES:
        return False
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    clean = _redact_text(text, redact, whole=path.suffix == ".json")
    if clean == text:
        return False
    path.write_bytes(clean.encode("utf-8", "surrogateescape"))
    return True


def _redact_text(text: str, redact: Redact, *, whole: bool) -> str:
    if whole:
        return _redact_if_json(text, redact)
    return "".join(_redact_if_json(line, redact) for line in text.splitlines(keepends=True))


def _redact_if_json(text: str, redact: Redact) -> str:
    """Redact JSON by value, anything else as text. Text without a secret is returned unchanged."""
    try:
        value = json.loads(text) if text.lstrip().startswith(("{", "[")) else None
    except ValueError:
        value = None
    if value is None:
        return redact(text)
    clean = redact_json(value, redact)
    if clean == value:
        return text
    return json.dumps(clean, ensure_ascii=False) + ("\n" if text.endswith("\n") else "")
