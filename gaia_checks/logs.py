"""The server's log for people and programs: its end, or as it grows, across rotations and releases."""

import time
from collections import deque
from collections.abc import Iterator

from rich.text import Text

from gaia_checks.deploy.state import paths
from gaia_checks.deploy.supervisor import log_line
from gaia_checks.environment.environment import Environment
from gaia_checks.model import Log
from gaia_checks.recorders.log.tail import Tail

_POLL_S = 0.2
_LEVELS = {"warning": "yellow", "error": "bold red", "critical": "bold red"}


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


def for_people(line: str) -> Text:
    """Return a line as one reads it: time, level, message, then the rest, and a traceback below (pure)."""
    parts = log_line.read(line)
    return Text.assemble(
        (f"{parts.time} ".lstrip(), "dim"),
        (f"{parts.level:8} " if parts.level else "", _LEVELS.get(parts.level, "")),
        parts.message,
        (f" {parts.rest}" if parts.rest else "", "dim"),
        *(f"\n{each}" for each in parts.below),
    )
