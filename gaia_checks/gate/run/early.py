"""Stop a gate that can no longer pass: judge what was measured so far while looks continue."""

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
    """Wait until one of the criteria has certainly failed; return it and what was seen.

    None when the gate is `over` before.
    """
    judged: dict[str, Sequence[Measurement]] = {}
    while not over.wait(_POLL_S):
        reported = {look: so_far(look) for look in {criterion.look for criterion in criteria}}
        for criterion in criteria:
            seen = reported[criterion.look]
            if seen != judged.get(criterion.look, []) and certain.failed(criterion, seen, rehearsal=rehearsal):
                return criterion, seen
        judged = reported
    return None


def so_far(channel: Path, look: str) -> list[Measurement]:
    """Return what was measured so far in a background look that continues; empty when nothing was reported."""
    return [
        Measurement.from_json(record)
        for name in (look, *background.KEPT.get(look, ()))
        for record in _read(channel / f"{name}.json")
    ]


def _read(path: Path) -> list[Any]:
    try:
        reported: list[Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return reported
