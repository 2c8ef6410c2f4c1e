"""A look's timeline: `timelines/<look>.jsonl`, about one record per second, written while the recorder runs.

Beside it, the measurements so far: the gate reads them and stops early when one can no longer pass.
"""

from collections.abc import Sequence
from pathlib import Path

from gaia_checks import files, jsonl
from gaia_checks.model import Measurement


class Timeline:
    """The file of one look. A record is `{"t", "of", "worst", <name>_<unit>: number, ...}`."""

    def __init__(self, folder: Path, look: str, of_s: float, so_far: Path | None = None) -> None:
        """Write below `folder`; `of_s` is the planned window in seconds.

        `so_far` is the folder for the measurements so far, which are no evidence.
        """
        self._path = folder / "timelines" / f"{look}.jsonl"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._of_s = of_s
        self._so_far = so_far / f"{look}.json" if so_far else None

    def add(self, t_s: float, worst: str, *, so_far: Sequence[Measurement] = (), **numbers: float) -> None:
        """Add the state `t_s` seconds after the start; `worst` is a short summary for people.

        `so_far` are measurements that can only get worse until the end.
        """
        rounded = {name: round(value, 3) for name, value in numbers.items()}
        jsonl.append(self._path, {"t": round(t_s, 3), "of": self._of_s, "worst": worst, **rounded})
        if self._so_far:
            files.replace_json(self._so_far, [measurement.to_json() for measurement in so_far])
