"""Check a user's own criteria file: it adds looks and criteria to ours, and changes none of ours. Pure."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from gaia_checks.errors import CriteriaFileError

_TABLES = ("looks", "criteria", "unchecked")
_TEXTS = ("measurement", "rule", "unit")
_OF_A_LOAD = ("proportion", "percentile", "trend", "false_allows", "false_denies")
"""Rules whose measurements only our own loads and recorders make."""


def check(where: str, document: Mapping[str, Any], ours: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `document` if it only adds to `ours` and has the right types. Raises CriteriaFileError."""
    for problem in _problems(document, ours):
        raise CriteriaFileError(f"{where}: {problem}")
    return document


def _problems(document: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[str]:
    for key, table in document.items():
        if key not in _TABLES:
            yield f"{key}: unknown key; a file of your own has {', '.join(_TABLES)}"
        if not isinstance(table, dict):
            yield f"{key}: {table!r} is not a table"
        for name in table.keys() & ours.get(key, {}).keys():
            yield f'{key}."{name}": gaia-checks has this one; choose another name'
    for name, look in document.get("looks", {}).items():
        yield from _look(f"looks.{name}", look)
    for name, criterion in document.get("criteria", {}).items():
        yield from _criterion(f'criteria."{name}"', criterion, _measured(ours))


def _measured(ours: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(check["measurement"] for one in ours["criteria"].values() for check in one["checks"])


def _look(label: str, look: Any) -> Iterator[str]:
    if not isinstance(look, dict):
        yield f"{label}: {look!r} is not a table; write [{label}]"
        return
    for key, value in look.items():
        if not _is_number(value) or not 0 < value < math.inf:
            yield f"{label}.{key}: {value!r} is not a number above 0"


def _criterion(label: str, criterion: Any, measured: frozenset[str]) -> Iterator[str]:
    if not isinstance(criterion, dict):
        yield f"{label}: {criterion!r} is not a table; write [{label}]"
        return
    if not isinstance(criterion.get("claim"), str):
        yield f'{label}: claim: missing; say in plain words what is promised, e.g. "An order is placed in under 300 ms"'
    needs = criterion.get("needs", [])
    if not isinstance(needs, list) or not all(isinstance(need, str) for need in needs):
        yield f"{label}: needs: {needs!r} is not a list of capabilities"
    checks = criterion.get("checks", [])
    if not isinstance(checks, list) or not all(isinstance(each, dict) for each in checks):
        yield f"{label}: checks: {checks!r} is not a list of tables"
        return
    for each in checks:
        yield from _check(label, each, measured)


def _check(label: str, each: Mapping[str, Any], measured: frozenset[str]) -> Iterator[str]:
    for key in (key for key in _TEXTS if not isinstance(each.get(key, ""), str)):
        yield f"{label}: checks.{key}: {each[key]!r} is not a text"
    if not isinstance(each.get("threshold", 0), (int, float, str)):
        yield f"{label}: checks.threshold: {each['threshold']!r} is neither a number, a text nor a truth value"
    if not isinstance(least := each.get("min_n", 1), int) or least < 1:
        yield f"{label}: checks.min_n: {least!r} is not a number of samples"
    if each.get("rule") in _OF_A_LOAD and each.get("measurement") not in measured:
        yield f"{label}: the rule {each['rule']} is for measurements that gaia-checks makes, such as load.latency"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
