"""A look's timeline: `timelines/<look>.jsonl`, about one record per second, written as the look goes on."""

from pathlib import Path

from gaia_checks import journal


class Timeline:
    """The file of one look. A record is `{"t", "of", "worst", <name>_<unit>: number, ...}`."""

    def __init__(self, folder: Path, look: str, of_s: float) -> None:
        """Write below `folder`; `of_s` is how long the look is to last, in seconds."""
        self._path = folder / "timelines" / f"{look}.jsonl"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._of_s = of_s

    def add(self, t_s: float, worst: str, **numbers: float) -> None:
        """Add what stands `t_s` seconds after the start; `worst` is for people, in a few words."""
        rounded = {name: round(value, 3) for name, value in numbers.items()}
        journal.append(self._path, {"t": round(t_s, 3), "of": self._of_s, "worst": worst, **rounded})
