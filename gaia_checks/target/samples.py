"""Counts good samples, and keeps the worst few faults as examples."""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gaia_checks import jsonl
from gaia_checks.model import Measurement

EXAMPLES = 5
"""How many faults are described; the rest is only counted."""

_LONGEST_NOTE = 500


def short(notes: Iterable[str]) -> tuple[str, ...]:
    """Return the first few notes, each in one line of limited length."""
    return tuple(" ".join(note.split())[:_LONGEST_NOTE] for note in list(notes)[:EXAMPLES])


@dataclass
class Score:
    """`good` of `tried`."""

    good: int = 0
    tried: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, wrong: str | None) -> None:
        """Count one trial: None for a good one, else its fault in one sentence."""
        self.tried += 1
        self.good += wrong is None
        if wrong is not None:
            self.wrong.append(wrong)


@dataclass(frozen=True)
class Watch:
    """A stopwatch that starts at its creation; it makes measurements."""

    began: float = field(default_factory=time.monotonic)

    def elapsed_s(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.began

    def measurement(self, name: str, value: Any, unit: str, n: int, how: str, notes: Iterable[str] = ()) -> Measurement:
        """Return a measurement that ends now. With n = 0 the first note has the reason for no samples."""
        return Measurement(name, value, unit, n, round(self.elapsed_s(), 3), jsonl.now(), how, short(notes))

    def counted(self, name: str, tally: Score, how: str) -> Measurement:
        """Return "good of n" as a measurement."""
        return self.measurement(name, tally.good, "count", tally.tried, how, worst_first(tally.wrong))


def worst_first(faults: Iterable[str]) -> list[str]:
    """Return faults ordered by gravity: no answer, a server error, another wrong status, then what answers contain."""
    grave = (r"no answer|not sent", r"status 5\d\d", r"status \d{3}")
    return sorted(
        faults,
        key=lambda fault: next((rank for rank, words in enumerate(grave) if re.search(words, fault)), len(grave)),
    )
