"""Which lines of a log belong to a process, and which of them are errors. Pure.

Several processes may write to one log, one after the other. A log is only appended to, so everything behind the
first line that is as young as the process counts as its own, whatever time a later line claims. In a hand-over
that includes the last words of the server before it.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

ERROR_LEVELS = frozenset({"error", "err", "critical", "crit", "fatal", "panic", "alert", "emergency", "emerg"})
"""Levels that count, in lower case: those of Python, of syslog and of what others write."""

TRACEBACK = "Traceback (most recent call last)"

STARTING_S = 30.0
"""A server is ready, and has long said something, so soon after its process began."""

_TOLERANCE_S = 1.0  # between the clock that starts processes and the one that stamps lines
_EXAMPLES = 5
_PLAIN_ERROR = re.compile(r"\b(ERROR|CRITICAL|FATAL|PANIC)\b")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log."""

    time_s: float | None  # seconds since the epoch; None where it says none
    error: bool
    traceback: bool
    levelled: bool | None  # whether its JSON says a level as text; None where it is no JSON


def parse(text: str) -> Line:
    """Read a JSON line `time, level, msg, ...`; where no text says the level, the line is judged by the words in it."""
    shouted, traceback = bool(_PLAIN_ERROR.search(text)), TRACEBACK in text
    record = _object(text)
    if record is None:
        return Line(None, shouted, traceback, None)
    time_s, level = _time_s(record.get("time")), record.get("level")
    if isinstance(level, str):
        return Line(time_s, level.lower() in ERROR_LEVELS, traceback, levelled=True)
    return Line(time_s, shouted, traceback, levelled=False)


@dataclass(slots=True)
class Reading:
    """What was read so far of the lines of the process that was created at `created_s` (epoch)."""

    created_s: float
    lines: int = 0
    errors: int = 0
    tracebacks: int = 0
    levelled: int = 0  # JSON lines that say a level as text
    unlevelled: int = 0  # JSON lines that do not
    examples: list[str] = field(default_factory=list)  # the first few errors and tracebacks
    older: bool = False  # lines of earlier processes stand before its own
    first_s: float | None = None  # the time of its first line that says one
    _begun: bool = False
    _undecided: list[tuple[str, Line]] = field(default_factory=list)  # timeless lines at the log's very beginning

    def take(self, text: str) -> None:
        """Read the next line."""
        line = parse(text)
        if self._begun or (line.time_s is not None and self._as_young(line.time_s)):
            self.follow()
            self._count(text, line)
        elif line.time_s is not None:
            self.older = True
            self._undecided.clear()
        elif not self.older:
            self._undecided.append((text, line))

    def follow(self) -> None:
        """From here on every line is the process's own: it was written while we looked, or behind its first."""
        self._begun = True
        for text, line in self._undecided:
            self._count(text, line)
        self._undecided.clear()

    def begins_before(self, lines: Iterable[str]) -> bool:
        """Whether the first of `lines` that says a time was written before the process began."""
        times = (line.time_s for line in map(parse, lines))
        first_s = next((time_s for time_s in times if time_s is not None), None)
        return first_s is not None and not self._as_young(first_s)

    def missing_start(self) -> str | None:
        """Say why the process's first line may not be among what was read; None when it surely is.

        It is when the lines of an earlier process stand before it, or when the first line is so young that the
        process was just starting.
        """
        if not self.lines:
            return "the log holds no line since the process started"
        if self.older:
            return None
        if self.first_s is None:
            return "no line of the log says when it was written"
        late_s = self.first_s - self.created_s
        return None if late_s <= STARTING_S else f"the log begins {late_s:.0f} s after the process: its start is gone"

    def undecided_errors(self) -> str | None:
        """Say why it is not known whether a line is an error; None when it is, or when one surely was.

        A server whose JSON never says a level as text tells its errors in a way that we do not read.
        """
        if self.errors or self.levelled or not self.unlevelled:
            return None
        return (
            "no JSON line of the log has a `level` that is text, so no error would be seen; "
            'let the server log "level": "error" (docs/contract.md)'
        )

    def _as_young(self, time_s: float) -> bool:
        return time_s >= self.created_s - _TOLERANCE_S

    def _count(self, text: str, line: Line) -> None:
        self.lines += 1
        self.errors += line.error
        self.tracebacks += line.traceback
        self.levelled += line.levelled is True
        self.unlevelled += line.levelled is False
        if self.first_s is None:
            self.first_s = line.time_s
        if (line.error or line.traceback) and len(self.examples) < _EXAMPLES:
            self.examples.append(text)


def _object(text: str) -> dict[str, Any] | None:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _time_s(text: object) -> float | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment.timestamp() if moment and moment.tzinfo else None
