"""What a recorder measures, as a table: name -> unit and how. From it come the measurements, seen and unseen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gaia_checks import jsonl
from gaia_checks.model import Measurement
from gaia_checks.target.samples import short


@dataclass(frozen=True, slots=True)
class Measures:
    """The measurements of one recorder."""

    table: Mapping[str, tuple[str, str]]  # name -> (unit, one sentence saying how)

    def seen(self, name: str, value: Any, *, n: int, window_s: float, notes: Iterable[str] = ()) -> Measurement:
        """Return a measurement that ends now. With n = 0 the first note says why nothing was seen."""
        unit, how = self.table[name]
        return Measurement(name, value, unit, n, round(window_s, 3), jsonl.now(), how, short(notes))

    def unseen(self, why: str) -> list[Measurement]:
        """Return all of them as not seen."""
        return [self.seen(name, 0, n=0, window_s=0.0, notes=(why,)) for name in self.table]
