"""Counting what was as it should be, with the first few examples of what was not."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gaia_checks import jsonl
from gaia_checks.model import Measurement

EXAMPLES = 5
"""How many wrong things are described; the rest is counted."""

_LONGEST_NOTE = 500


def short(notes: Iterable[str]) -> tuple[str, ...]:
    """Return the first few notes, each in one line that is not too long."""
    return tuple(" ".join(note.split())[:_LONGEST_NOTE] for note in list(notes)[:EXAMPLES])


@dataclass
class Tally:
    """`good` of `tried`."""

    good: int = 0
    tried: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, wrong: str | None) -> None:
        """Count one trial: None when it was good, else a sentence saying what was wrong."""
        self.tried += 1
        self.good += wrong is None
        if wrong is not None:
            self.wrong.append(wrong)


@dataclass(frozen=True)
class Watch:
    """A stopwatch that was started when it was made; it turns what was seen into measurements."""

    began: float = field(default_factory=time.monotonic)

    def elapsed_s(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.began

    def saw(self, name: str, value: Any, unit: str, n: int, how: str, notes: Iterable[str] = ()) -> Measurement:
        """Return a measurement that ends now. With n = 0 the first note says why nothing was seen."""
        return Measurement(name, value, unit, n, round(self.elapsed_s(), 3), jsonl.now(), how, short(notes))

    def counted(self, name: str, tally: Tally, how: str) -> Measurement:
        """Return "good of n" as a measurement."""
        return self.saw(name, tally.good, "count", tally.tried, how, tally.wrong)
