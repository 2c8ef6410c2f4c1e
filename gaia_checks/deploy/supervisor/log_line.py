"""One line of a server's log, as a person reads it. Pure.

A traceback in a JSON line is one field with its line breaks escaped; here it stands below the event. Every line of
it is indented, so that no text of a client looks like an event.
"""

import json
from dataclasses import dataclass
from typing import Any

from gaia_checks.printable import printable

_KNOWN = ("time", "level", "msg")


@dataclass(frozen=True, slots=True)
class ReadableLine:
    """The parts of a line, without control characters; "" for what it lacks."""

    time: str
    level: str
    message: str
    rest: str  # the other fields of one line: `path=/x status=500`
    below: tuple[str, ...]  # the lines of what has several, such as a traceback


def as_record(line: str) -> dict[str, Any]:
    """Return a line as an object; what is no JSON, such as a plain traceback, becomes its `msg`."""
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    return record if isinstance(record, dict) else {"msg": line}


def read(line: str) -> ReadableLine:
    """Return the parts of a line."""
    record = {name: str(value) for name, value in as_record(line).items()}
    message, *below = record.get("msg", "").splitlines() or [""]
    others = {name: value for name, value in record.items() if name not in _KNOWN}
    for value in others.values():
        below += value.splitlines() if "\n" in value else ()
    return ReadableLine(
        time=printable(record.get("time", "")),
        level=printable(record.get("level", "")),
        message=printable(message),
        rest=printable(" ".join(f"{name}={value}" for name, value in others.items() if "\n" not in value)),
        below=tuple(f"  {printable(each)}" for each in below),
    )


def in_one_line(line: str) -> str:
    """Return time, level and message with the last line of what stands below, which names the exception."""
    parts = read(line)
    cause = next((each.strip() for each in reversed(parts.below) if each.strip()), "")
    event = f"{parts.message.rstrip(':')}: {cause}" if cause else parts.message
    return " ".join(filter(None, (parts.time, parts.level, event, parts.rest)))
