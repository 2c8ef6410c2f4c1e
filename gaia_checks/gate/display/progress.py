"""The progress of a gate: the newest records of its timelines, and the time left if no load is extended."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gaia_checks.gate.run import background, gate_plan
from gaia_checks.judge.criteria_file import Looks

_NOT_SHOWN = {"restarts"}
"""Recorded until the gate ends, so its window says nothing about the time left."""


class ProgressLine(NamedTuple):
    """The newest record of one look."""

    look: str
    t_s: float
    of_s: float
    worst: str

    @property
    def runs(self) -> bool:
        """Whether the look is still running."""
        return self.t_s < self.of_s


def lines(folder: Path, measured: Collection[str] = ()) -> list[ProgressLine]:
    """Return the newest line of every timeline of a gate; a look whose process exit is in `measured` has finished."""
    paths = {path.stem: path for path in sorted((folder / "timelines").glob("*.jsonl"))}
    paths |= {look: folder / look / "timelines" / "load.jsonl" for look in gate_plan.LOADS if look not in paths}
    found = {look: _last_record(path) for look, path in paths.items() if look not in _NOT_SHOWN}
    return [
        ProgressLine(look, record["of"] if _exit(look) in measured else record["t"], record["of"], record["worst"])
        for look, record in found.items()
        if record
    ]


def _exit(look: str) -> str:
    return background.exit_name(background.process_of(look) or "")


def left_s(lines: Sequence[ProgressLine], looks: Looks, wanted: Collection[str], elapsed_s: float) -> float:
    """Return about how many more seconds a gate of the wanted looks takes. Pure.

    Loads wait for one another and for disturbing looks; everything else is recorded in parallel.
    """
    known = {line.look: line.of_s - line.t_s for line in lines}
    recorded_s = max(
        (known.get(look, looks[look]["window_s"]) for look in gate_plan.RECORDED if look in wanted), default=0.0
    )
    if gate_plan.LOADS[0] in known or gate_plan.LOAD in known:
        before_s = 0.0
    else:
        before_s = max(0.0, gate_plan.loads_start_s(looks, wanted) - elapsed_s)
    loads_s = sum(known.get(look, gate_plan.load_s(looks, look)) for look in gate_plan.LOADS if look in wanted)
    return max(0.0, recorded_s, before_s + loads_s)


def _last_record(timeline: Path) -> dict[str, Any] | None:
    """Return the last complete record of a file that is being written."""
    try:
        with timeline.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - 8192))
            written = file.read().split(b"\n")
        record = json.loads(written[-2]) if len(written) > 1 else None
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and {"t", "of", "worst"} <= record.keys() else None
