"""Early stop of a gate that can no longer pass: interim measurements are judged until a failure is certain."""

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gaia_checks.gate.run import background
from gaia_checks.judge import certain
from gaia_checks.model import Criterion, Measurement

_POLL_S = 0.5


def watch(
    criteria: Sequence[Criterion],
    so_far: Callable[[str], Sequence[Measurement]],
    over: threading.Event,
    *,
    rehearsal: bool,
) -> tuple[Criterion, Sequence[Measurement]] | None:
    """Wait until one of the criteria has certainly failed; return it and its measurements.

    None when the gate is `over` before.
    """
    judged: dict[str, Sequence[Measurement]] = {}
    while not over.wait(_POLL_S):
        interim = {look: so_far(look) for look in {criterion.look for criterion in criteria}}
        for criterion in criteria:
            measured = interim[criterion.look]
            if measured != judged.get(criterion.look, []) and certain.failed(criterion, measured, rehearsal=rehearsal):
                return criterion, measured
        judged = interim
    return None


def so_far(channel: Path, look: str) -> list[Measurement]:
    """Return the interim measurements of a running background look; empty if there are none yet."""
    return [
        Measurement.from_json(record)
        for name in (look, *background.RECORDED_FOR.get(look, ()))
        for record in _read(channel / f"{name}.json")
    ]


def _read(path: Path) -> list[Any]:
    try:
        records: list[Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return records
