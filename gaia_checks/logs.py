"""The server's log for people and programs: its end, or as it grows, across rotations and releases."""

import json
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from rich.text import Text

from gaia_checks.deploy.state import paths
from gaia_checks.environment_file import Environment
from gaia_checks.model import Log
from gaia_checks.printable import printable
from gaia_checks.recorders.log.tail import Tail

_POLL_S = 0.2
_LEVELS = {"warning": "yellow", "error": "bold red", "critical": "bold red"}
_KNOWN = ("time", "level", "msg")


def read(environment: Environment, count: int, *, follow: bool, warn: Log) -> Iterator[str]:
    """Yield the last `count` lines of the log without secrets; with `follow`, what is written from then on, for ever.

    A log that is not there yet is waited for. `warn` reports lines that were lost.
    """
    tail = Tail(paths.of(environment).server_log, lambda first_lines: len(first_lines) > count)
    newest = deque((line for lines in tail.lines() for line in lines), maxlen=count)
    if not follow:
        newest.extend(tail.last())
    yield from map(environment.redact, newest)
    while follow:
        for lines in tail.lines():
            yield from map(environment.redact, lines)
        if tail.lost:
            warn(f"some lines were lost: {tail.lost}")
            tail.lost = None
        time.sleep(_POLL_S)


def as_record(line: str) -> dict[str, Any]:
    """Return a line as an object; what is no JSON, such as a traceback, becomes its `msg` (pure)."""
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    return record if isinstance(record, dict) else {"msg": line}


def for_people(line: str) -> Text:
    """Return a line as one reads it: time, level, message, then the rest (pure)."""
    record = as_record(line)
    rest = printable(" ".join(f"{name}={value}" for name, value in record.items() if name not in _KNOWN))
    level = printable(str(record.get("level", "")))
    return Text.assemble(
        (printable(f"{record.get('time', '')} ".lstrip()), "dim"),
        (f"{level:8} " if level else "", _LEVELS.get(level, "")),
        printable(str(record.get("msg", ""))),
        (f" {rest}" if rest else "", "dim"),
    )
