"""All asked recorders at once: each writes its measurements at its own end; one that breaks says so, alone."""

import asyncio
import traceback
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path

from gaia_checks import jsonl
from gaia_checks.errors import ConfigurationError
from gaia_checks.model import Measurement, Target
from gaia_checks.recorders.base.measurement_table import Measures
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.recorders.limits import limits_recorder
from gaia_checks.recorders.log import log_recorder
from gaia_checks.recorders.resources import connections, memory, restarts
from gaia_checks.recorders.soak import soak_recorder
from gaia_checks.redaction import redact

Looks = Mapping[str, Mapping[str, float]]
"""look -> its parameters, as criteria.toml names them; each has `window_s`."""


Record = Callable[..., Coroutine[None, None, list[Measurement]]]
"""`record(target, timeline, told, **parameters)`: look for as long as the window is, return what was seen.

`told` is set when the gate ends early: the look ends within a second, and what it returns is about the time that was
looked at.
"""

RECORDERS: Mapping[str, tuple[Record, Measures]] = {
    "log": (log_recorder.record, log_recorder.MEASURES),
    "soak": (soak_recorder.record, soak_recorder.MEASURES),
    "memory": (memory.record, memory.MEASURES),
    "connections": (connections.record, connections.MEASURES),
    "limits": (limits_recorder.record, limits_recorder.MEASURES),
    "restarts": (restarts.record, restarts.MEASURES),
}


async def record(folder: Path, looks: Looks, target: Target, told: asyncio.Event, so_far: Path | None = None) -> bool:
    """Record `looks` of `target` into the evidence folder, until `told`; return whether none of them broke.

    What was seen meanwhile is put into the folder `so_far`. Raises ConfigurationError for a look that is not recorded
    here.
    """
    if unknown := looks.keys() - RECORDERS.keys():
        raise ConfigurationError(f"--looks: {', '.join(sorted(unknown))} unknown; known: {', '.join(RECORDERS)}")
    # A group, since it waits for all of them to clean up when it is cancelled, and cancels each only once.
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_record_one(folder, look, looks[look], target, told, so_far)) for look in looks]
    return all(task.result() for task in tasks)


async def _record_one(
    folder: Path, look: str, parameters: Mapping[str, float], target: Target, told: asyncio.Event, so_far: Path | None
) -> bool:
    recorder, measures = RECORDERS[look]
    whole = True
    try:
        timeline = Timeline(folder, look, parameters["window_s"], so_far)
        seen = await recorder(target, timeline, told, **parameters)
    except Exception as error:  # noqa: BLE001 - a recorder that breaks must not end the others
        traceback.print_exc()
        whole, seen = False, measures.unseen(f"the look {look} broke: {error!r}")
    for measurement in seen:
        jsonl.append(folder / "measurements.jsonl", _clean(measurement, target).to_json())
    return whole


def _clean(measurement: Measurement, target: Target) -> Measurement:
    """Take the target's secrets out of the notes: they quote what it wrote."""
    known = {"ADMIN_TOKEN": target.admin_token or "", "DATABASE_URL": target.database_url or ""}
    return replace(measurement, notes=tuple(redact(note, known, target.secrets) for note in measurement.notes))
