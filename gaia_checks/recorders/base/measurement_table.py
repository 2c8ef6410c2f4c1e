"""A recorder's measurements as a table: name -> unit and method. It makes the measurements, with or without samples."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gaia_checks import jsonl
from gaia_checks.model import Measurement
from gaia_checks.target.samples import short


@dataclass(frozen=True, slots=True)
class Measures:
    """The measurements of one recorder."""

    table: Mapping[str, tuple[str, str]]  # name -> (unit, method in one sentence)

    def measurement(self, name: str, value: Any, *, n: int, window_s: float, notes: Iterable[str] = ()) -> Measurement:
        """Return a measurement that ends now. With n = 0 the first note has the reason for no samples."""
        unit, how = self.table[name]
        return Measurement(name, value, unit, n, round(window_s, 3), jsonl.now(), how, short(notes))

    def unobservable(self, why: str) -> list[Measurement]:
        """Return all of them without samples, with the reason."""
        return [self.measurement(name, 0, n=0, window_s=0.0, notes=(why,)) for name in self.table]
