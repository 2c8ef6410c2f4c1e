"""Checks answers of the admin API. Pure: each check takes an answer and returns a fault, or None."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

METRICS, LOGIN = "/metrics", "/admin/login"

QUOTAS = "/api/admin/quotas"
CONFIG = f"{QUOTAS}/config"
USAGE, VIOLATIONS, ANALYTICS, ALERTS = (f"{QUOTAS}/{name}" for name in ("usage", "violations", "analytics", "alerts"))

_LIMIT_HEADERS = {
    "RateLimit-Policy": re.compile(r'"[^"]+"\s*;.*\bq=\d+'),
    "RateLimit": re.compile(r'"[^"]+"\s*;.*\br=\d+'),
    "X-RateLimit-Limit": re.compile(r"\d+"),
    "X-RateLimit-Remaining": re.compile(r"\d+"),
    "X-RateLimit-Reset": re.compile(r"\d{9,}"),  # seconds since the epoch
}

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,}(Z|\+00:00)", re.ASCII)


@dataclass(frozen=True)
class Answer:
    """The answer to one request; `status` 0 and a reason in `text` without one."""

    request: str  # "GET /api/admin/quotas/config"
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)  # httpx.Headers: names in any case
    text: str = ""
    body: Any = None  # the JSON value; None when it is no JSON

    def fault(self, what: str) -> str:
        """Return a fault of this answer as a sentence."""
        return f"{self.request}: {what}"


def wrong_status(answer: Answer, *expected: int) -> str | None:
    """Return the fault of an unexpected status."""
    if answer.status in expected:
        return None
    found = f"status {answer.status}" if answer.status else f"no answer ({answer.text})"
    return answer.fault(f"{found} instead of {' or '.join(map(str, expected))}")


def wrong_object(answer: Answer, status: int = 200) -> str | None:
    """Return the fault unless the answer is a JSON object with that status."""
    return wrong_status(answer, status) or _wrong_type(answer, "application/json")


def wrong_list(answer: Answer, at_most: int) -> str | None:
    """Return the fault unless the answer is one page of a list: `{"items": [...], "total": n}`."""
    if wrong := wrong_object(answer):
        return wrong
    items, total = answer.body.get("items"), answer.body.get("total")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return answer.fault("items is no list of objects")
    if type(total) is not int or total < len(items):
        return answer.fault(f"total is {total!r} with {len(items)} items")
    return answer.fault(f"{len(items)} items, requested {at_most}") if len(items) > at_most else None


def wrong_rule(answer: Answer, sent: Mapping[str, Any], status: int = 200) -> str | None:
    """Return the fault unless the answer is the rule as sent, with an id."""
    if wrong := wrong_object(answer, status):
        return wrong
    if type(answer.body.get("id")) is not int:
        return answer.fault(f"id is {answer.body.get('id')!r}, no whole number")
    for name, value in sent.items():
        if answer.body.get(name) != value:
            return answer.fault(f"{name} is {answer.body.get(name)!r} instead of {value!r}")
    return None


def wrong_problem(answer: Answer, *statuses: int) -> str | None:
    """Return the fault unless the answer is a problem (RFC 9457) with one of those statuses."""
    if wrong := wrong_status(answer, *statuses) or _wrong_type(answer, "application/problem+json"):
        return wrong
    if answer.body.get("status", answer.status) != answer.status:
        return answer.fault(f"status {answer.status}, but its problem says {answer.body['status']!r}")
    title = answer.body.get("title")
    return None if isinstance(title, str) and title else answer.fault("its problem has no title")


def wrong_limit_headers(answer: Answer) -> str | None:
    """Return the fault of a missing or unreadable rate-limit header."""
    for name, pattern in _LIMIT_HEADERS.items():
        value = answer.headers.get(name)
        if value is None:
            return answer.fault(f"header {name} is missing")
        if not pattern.match(value):
            return answer.fault(f"header {name} is {value!r}")
    return None


def wrong_times(answer: Answer, *names: str) -> str | None:
    """Return the fault unless these fields are times in UTC with milliseconds."""
    fields = answer.body if isinstance(answer.body, dict) else {}
    for name in names:
        if not _TIME.fullmatch(str(fields.get(name))):
            return answer.fault(f"{name} is {fields.get(name)!r}, no RFC 3339 time in UTC with milliseconds")
    return None


def wrong_allow(answer: Answer, method: str) -> str | None:
    """Return the fault unless the answer lists that supported method."""
    allowed = answer.headers.get("Allow", "")
    listed = method in (each.strip() for each in allowed.split(","))
    return None if listed else answer.fault(f"Allow is {allowed!r}, should list {method}")


def location(answer: Answer) -> str | None:
    """Return the path of the rule that an answer created, None when it names none.

    Only the path counts: the token must never follow a location to another host.
    """
    path = urlsplit(answer.headers.get("Location", "")).path
    if path.startswith(CONFIG + "/"):
        return path
    identity = answer.body.get("id") if isinstance(answer.body, dict) else None
    return f"{CONFIG}/{identity}" if type(identity) is int else None


def _wrong_type(answer: Answer, expected: str) -> str | None:
    found = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    if found != expected:
        return answer.fault(f"content type {found!r} instead of {expected}")
    return None if isinstance(answer.body, dict) else answer.fault("its body is no JSON object")
