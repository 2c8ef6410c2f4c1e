"""The errors in the server's log: a failure names the line and the exception behind it. Pure but for the file.

A traceback is one field of a JSON line, or lines of its own.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gaia_checks.recorders.log import parser

_FRAME = re.compile(r'File "(?:[^"]*/)?([^"/]+)", line (\d+)')
_TOLERANCE_S = 1.0  # between this machine's clock and the log's


@dataclass(frozen=True, slots=True)
class ServerError:
    """One line of level error, or one traceback."""

    line: int  # from 1
    text: str  # the exception or the message, and where it was raised
    traceback: bool
    raw: str


def read(log: Path, since: str) -> list[ServerError]:
    """Return the errors of a gate's copy of the log, oldest first, from `since` (RFC 3339) on; none without the log."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return list(_errors(lines, datetime.fromisoformat(since).timestamp() - _TOLERANCE_S))


def behind(why: str, found: Sequence[ServerError]) -> ServerError | None:
    """Return the error that most likely explains a reason: a traceback with its path, else the first traceback."""
    tracebacks = [error for error in found if error.traceback]
    paths = re.findall(r"/[\w/-]{3,}", why)
    return next((each for each in tracebacks if any(path in each.raw for path in paths)), next(iter(tracebacks), None))


def _errors(lines: Sequence[str], since_s: float) -> Iterator[ServerError]:
    """A line without a time is as old as the line before it."""
    recent = False
    for number, text in enumerate(lines):
        line = parser.parse(text)
        if line.time_s is not None:
            recent = line.time_s >= since_s
        if recent and line.traceback:
            rest = _exception(text) if line.levelled is not None else _indented(lines[number:])
            yield ServerError(number + 1, _raised(rest), traceback=True, raw=text)
        elif recent and line.error:
            yield ServerError(number + 1, _message(text), traceback=False, raw=text)


def _exception(text: str) -> list[str]:
    """Return the lines of the traceback in a JSON line."""
    values = json.loads(text).values()
    return next(str(value) for value in values if parser.TRACEBACK in str(value)).splitlines()


def _indented(lines: Sequence[str]) -> list[str]:
    """Return a plain traceback: its indented lines, and the exception below them."""
    end = next((number for number, text in enumerate(lines[1:], 1) if not text.startswith(" ")), len(lines))
    return [text for text in lines[: end + 1] if not text.startswith("{")]


def _raised(traceback: Sequence[str]) -> str:
    """Return the exception, and the file and line that raised it: `KeyError: 'limit' (decide.py:45)`."""
    frames = _FRAME.findall("\n".join(traceback))
    where = f" ({frames[-1][0]}:{frames[-1][1]})" if frames else ""
    last = next((text.strip() for text in reversed(traceback) if text.strip()), parser.TRACEBACK)
    return last + where


def _message(text: str) -> str:
    try:
        return str(json.loads(text).get("msg", text))
    except ValueError:
        return text
