"""Finds the log lines that belong to a process, and which of them are errors. Pure.

Several processes may write to one log, one after the other. A log is append-only, so every line after the first
line as young as the process counts as its own, whatever time a later line claims. In a hand-over that includes the
last lines of the previous server.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

ERROR_LEVELS = frozenset({"error", "err", "critical", "crit", "fatal", "panic", "alert", "emergency", "emerg"})
"""Error levels in lower case: those of Python, of syslog and of other loggers."""

TRACEBACK = "Traceback (most recent call last)"

STARTING_S = 30.0
"""Within this time after its process started, a server is ready and has logged its first line."""

_TOLERANCE_S = 1.0  # between the clock of process starts and that of log lines
_EXAMPLES = 5
_PLAIN_ERROR = re.compile(r"\b(ERROR|CRITICAL|FATAL|PANIC)\b")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log."""

    time_s: float | None  # seconds since the epoch; None without a time
    error: bool
    traceback: bool
    levelled: bool | None  # whether its JSON has a level as text; None for no JSON
    unreadable_level: bool = False  # its JSON has a level that is no text


def parse(text: str) -> LogLine:
    """Read a JSON line `time, level, msg, ...`; without a level as text, the words in the line decide."""
    error_word, traceback = bool(_PLAIN_ERROR.search(text)), TRACEBACK in text
    record = _object(text)
    if record is None:
        return LogLine(None, error_word, traceback, None)
    time_s, level = _time_s(record.get("time")), record.get("level")
    if isinstance(level, str):
        return LogLine(time_s, level.lower() in ERROR_LEVELS, traceback, levelled=True)
    return LogLine(time_s, error_word, traceback, levelled=False, unreadable_level=level is not None)


@dataclass(slots=True)
class Reading:
    """The lines read so far of the process created at `created_s` (epoch)."""

    created_s: float
    lines: int = 0
    errors: int = 0
    tracebacks: int = 0
    levelled: int = 0  # JSON lines with a level as text
    unlevelled: int = 0  # JSON lines without
    unreadable_levels: int = 0  # those among them with a level that is no text
    unreadable_example: str = ""  # the first of these lines
    examples: list[str] = field(default_factory=list)  # the first few errors and tracebacks
    older: bool = False  # lines of earlier processes precede its own
    first_s: float | None = None  # the time of its first line with a time
    _started: bool = False
    _undecided: list[tuple[str, LogLine]] = field(default_factory=list)  # lines without a time at the log's start

    def take(self, text: str) -> None:
        """Read the next line."""
        line = parse(text)
        if self._started or (line.time_s is not None and self._as_young(line.time_s)):
            self.follow()
            self._count(text, line)
        elif line.time_s is not None:
            self.older = True
            self._undecided.clear()
        elif not self.older:
            self._undecided.append((text, line))

    def follow(self) -> None:
        """Count every further line as the process's own: it is written while the recorder runs, or after its first."""
        self._started = True
        for text, line in self._undecided:
            self._count(text, line)
        self._undecided.clear()

    def begins_before(self, lines: Iterable[str]) -> bool:
        """Whether the first of `lines` with a time was written before the process started."""
        times = (line.time_s for line in map(parse, lines))
        first_s = next((time_s for time_s in times if time_s is not None), None)
        return first_s is not None and not self._as_young(first_s)

    def missing_start(self) -> str | None:
        """Return why the process's first line may be missing; None when it was certainly read.

        It was read when lines of an earlier process precede it, or when the first line is so young that the process
        was just starting.
        """
        if not self.lines:
            return "the log has no line since the process started"
        if self.older:
            return None
        if self.first_s is None:
            return "no line of the log has a time"
        late_s = self.first_s - self.created_s
        return (
            None if late_s <= STARTING_S else f"the log begins {late_s:.0f} s after the process: its start is missing"
        )

    def undecided_errors(self) -> str | None:
        """Return why errors cannot be recognised; None when they can, or when one was found.

        A server whose JSON never has a level as text reports its errors in a format unknown here.
        """
        if self.errors or self.levelled or not self.unlevelled:
            return None
        return (
            "no JSON line of the log has a `level` that is text, so no error can be recognised; "
            'let the server log "level": "error" (docs/contract.md)'
        )

    def _as_young(self, time_s: float) -> bool:
        return time_s >= self.created_s - _TOLERANCE_S

    def _count(self, text: str, line: LogLine) -> None:
        self.lines += 1
        self.errors += line.error
        self.tracebacks += line.traceback
        self.levelled += line.levelled is True
        self.unlevelled += line.levelled is False
        self.unreadable_levels += line.unreadable_level
        if line.unreadable_level and not self.unreadable_example:
            self.unreadable_example = text
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
