"""Validation of alert rules, acknowledgements and mutes from request bodies. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from gaia_server.http.request_parsing import MAX_ID
from gaia_server.http.user_fields import is_whole
from gaia_server.limiting.rules import NAME_PATTERN, FieldError, InvalidFields
from gaia_server.push.alerts import METRICS, OF_RULES, SEVERITIES, AlertRuleFields

MAX_THRESHOLD = 1_000_000_000
MAX_FOR_S = 86_400
MAX_MUTE_S = 30 * 86_400
BY_PATTERN = r"^[!-~](?:[ -~]{0,98}[!-~])?$"

_NAME = re.compile(NAME_PATTERN.rstrip("$"))
_BY = re.compile(BY_PATTERN.rstrip("$"))
_REQUIRED = ("name", "metric", "threshold")
_EXPECTED = {
    "name": "1 to 100 letters, digits, spaces or ._:/@-, beginning with a letter or digit",
    "metric": f"one of {', '.join(METRICS)}",
    "rule_id": f"null, or with the metrics {' and '.join(OF_RULES)} the id of a rate limit rule",
    "threshold": f"a whole number from 0 to {MAX_THRESHOLD}",
    "clear_threshold": f"null for the threshold, or a whole number from 0 to {MAX_THRESHOLD}",
    "for_s": f"a whole number of seconds from 0 to {MAX_FOR_S}",
    "severity": f"one of {', '.join(SEVERITIES)}",
    "enabled": "true or false",
}


def parse_alert_rule(body: Any) -> AlertRuleFields:
    """Return the alert rule that a JSON body describes. Raises InvalidFields."""
    given = _object(body, tuple(_EXPECTED))
    errors = [
        FieldError(name, f"is missing; give {_EXPECTED[name]}" if name not in given else f"is not {_EXPECTED[name]}")
        for name in _EXPECTED
        if (name in given or name in _REQUIRED) and not _is_valid(name, given)
    ]
    if errors:
        raise InvalidFields(errors)
    clear = given.get("clear_threshold")
    rule_id = given.get("rule_id")
    return AlertRuleFields(
        name=given["name"],
        metric=given["metric"],
        rule_id=None if rule_id is None else int(rule_id),
        threshold=int(given["threshold"]),
        clear_threshold=int(given["threshold"] if clear is None else clear),
        for_s=int(given.get("for_s", 0)),
        severity=given.get("severity", "warning"),
        enabled=given.get("enabled", True),
    )


def parse_acknowledgement(body: Any) -> str:
    """Return who acknowledges, from `{"by": "..."}`. Raises InvalidFields."""
    by = _object(body, ("by",)).get("by")
    if not (isinstance(by, str) and _BY.fullmatch(by)):
        raise InvalidFields([FieldError("by", "must be 1 to 100 printable ASCII characters, no space at either end")])
    return by


def parse_mute(body: Any) -> int:
    """Return for how many seconds a rule is muted, from `{"for_s": ...}`. Raises InvalidFields."""
    for_s: Any = _object(body, ("for_s",)).get("for_s")
    if not is_whole(for_s, MAX_MUTE_S):
        raise InvalidFields([FieldError("for_s", f"is not a whole number of seconds from 0 to {MAX_MUTE_S}")])
    return int(for_s)


def _is_valid(name: str, given: Mapping[str, Any]) -> bool:
    value: Any = given.get(name)
    match name:
        case "name":
            return isinstance(value, str) and _NAME.fullmatch(value) is not None
        case "metric":
            return isinstance(value, str) and value in METRICS
        case "rule_id":
            of_rule = given.get("metric") in OF_RULES and is_whole(value, MAX_ID) and value >= 1
            return value is None or of_rule
        case "threshold":
            return is_whole(value, MAX_THRESHOLD)
        case "clear_threshold":
            return value is None or is_whole(value, MAX_THRESHOLD)
        case "for_s":
            return is_whole(value, MAX_FOR_S)
        case "severity":
            return value in SEVERITIES
        case _:
            return isinstance(value, bool)


def _object(body: Any, known: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise InvalidFields([FieldError("", "is not a JSON object")])
    if errors := [FieldError(name[:100], "is not a known field") for name in body if name not in known]:
        raise InvalidFields(errors)
    return body
