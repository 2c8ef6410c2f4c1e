"""Runs all requested recorders at once: each writes its measurements when it finishes; one that breaks reports it."""

import asyncio
import sys
import traceback
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path

from gaia_checks import jsonl
from gaia_checks.errors import AdapterError, ConfigurationError
from gaia_checks.model import Measurement, Target
from gaia_checks.printable import printable
from gaia_checks.recorders.base.measurement_table import Measures
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.recorders.instances import instances_recorder
from gaia_checks.recorders.limits import limits_recorder
from gaia_checks.recorders.log import log_recorder
from gaia_checks.recorders.resources import connections, memory, open_resources, restarts
from gaia_checks.recorders.soak import soak_recorder
from gaia_checks.redaction import redact

Looks = Mapping[str, Mapping[str, float]]
"""look -> its parameters, as criteria.toml names them; each has `window_s`."""

Record = Callable[..., Coroutine[None, None, list[Measurement]]]
"""`record(target, timeline, stop, **parameters)`: observe for the whole window, return the measurements.

`stop` is set when the gate stops early: the recorder stops within a second, and returns measurements of the observed
time.
"""

RECORDERS: Mapping[str, tuple[Record, Measures]] = {
    "log": (log_recorder.record, log_recorder.MEASURES),
    "soak": (soak_recorder.record, soak_recorder.MEASURES),
    "memory": (memory.record, memory.MEASURES),
    "connections": (connections.record, connections.MEASURES),
    "limits": (limits_recorder.record, limits_recorder.MEASURES),
    "open_resources": (open_resources.record, open_resources.MEASURES),
    "instances": (instances_recorder.record, instances_recorder.MEASURES),
    "restarts": (restarts.record, restarts.MEASURES),
}


async def record(folder: Path, looks: Looks, target: Target, stop: asyncio.Event, so_far: Path | None = None) -> bool:
    """Record `looks` of `target` into the evidence folder, until `stop`; return whether none of them broke.

    Measurements so far go into the folder `so_far`. Raises ConfigurationError for a look without a recorder.
    """
    if unknown := looks.keys() - RECORDERS.keys():
        raise ConfigurationError(f"--looks: {', '.join(sorted(unknown))} unknown; known: {', '.join(RECORDERS)}")
    # A TaskGroup, because on cancellation it waits for all clean-ups and cancels each task only once.
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_record_one(folder, look, looks[look], target, stop, so_far)) for look in looks]
    return all(task.result() for task in tasks)


async def _record_one(
    folder: Path, look: str, parameters: Mapping[str, float], target: Target, stop: asyncio.Event, so_far: Path | None
) -> bool:
    recorder, measures = RECORDERS[look]
    unbroken = True
    try:
        timeline = Timeline(folder, look, parameters["window_s"], so_far)
        measurements = await recorder(target, timeline, stop, **parameters)
    except Exception as error:  # noqa: BLE001 - a recorder that breaks must not end the others
        unbroken, measurements = False, measures.unobservable(_why(look, error))
    for measurement in measurements:
        jsonl.append(folder / "measurements.jsonl", _clean(measurement, target).to_json())
    return unbroken


def _why(look: str, error: Exception) -> str:
    """Return why a look broke; what is no defect of the recorder needs no traceback."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, AdapterError):
        print(printable(error), file=sys.stderr)  # noqa: T201 - the gate quotes it
        return str(error)
    traceback.print_exception(error)
    return f"the look {look} broke: {error!r}"


def _clean(measurement: Measurement, target: Target) -> Measurement:
    """Redact the target's secrets in the notes, which quote its output."""
    known = {"ADMIN_TOKEN": target.admin_token or "", "DATABASE_URL": target.database_url or ""}
    return replace(measurement, notes=tuple(redact(note, known, target.secrets) for note in measurement.notes))
