"""The server's log from the start of its process: errors and tracebacks, until the window is over."""

import asyncio
import contextlib
from dataclasses import replace

from gaia_checks.model import Measurement, Target
from gaia_checks.recorders.base import process_start
from gaia_checks.recorders.base.measurement_table import Measures
from gaia_checks.recorders.base.metrics_client import Unseen
from gaia_checks.recorders.base.process_start import Beginning
from gaia_checks.recorders.base.sampling import told_within
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.recorders.log import log_source
from gaia_checks.recorders.log.log_source import Source
from gaia_checks.recorders.log.parser import Reading
from gaia_checks.target.unobservable import HERE, LOG, unseen

MEASURES = Measures(
    {
        "log.read_from_start": ("bool", "whether what was read of the log reaches back to the start of the process"),
        "log.errors": ("lines", "lines of level error or above since the process started"),
        "log.tracebacks": ("lines", "lines with a traceback since the process started"),
    }
)

_POLL_S = 0.25
_RECORD_EVERY_S = 1.0


async def record(target: Target, timeline: Timeline, told: asyncio.Event, *, window_s: float) -> list[Measurement]:
    """Read everything since the process started, and follow it until the process is `window_s` old.

    The log of an older process is read up to now. Where its beginning cannot be seen, nothing is decided.
    """
    if target.log is None:
        return MEASURES.unseen(_unseen(target))
    try:
        began = await process_start.of(target)
    except Unseen as why:
        return MEASURES.unseen(_unseen(target, f"when the process began is not told: {why}"))
    reading = Reading(began.created_s)
    try:
        with contextlib.closing(log_source.of(target.log, reading.begins_before)) as lines:
            age_s = await _follow(began.age_s, window_s, lines, reading, timeline, told)
    except OSError as error:
        return MEASURES.unseen(_unseen(target, f"{target.log}: cannot be read: {error.strerror or error}"))
    missing = lines.lost or reading.missing_start()
    return _measured(reading, began, age_s, _unseen(target, f"{target.log}: {missing}") if missing else None)


def _unseen(target: Target, why: str = "") -> str:
    settings = (LOG,) if target.log else (LOG, HERE)
    return unseen(target, "the server's log since its start", *settings, why=why)


async def _follow(
    age_s: float, window_s: float, lines: Source, reading: Reading, timeline: Timeline, told: asyncio.Event
) -> float:
    """Read until the process, `age_s` old now, is `window_s` old, or we are told to end; return its age at the end.

    What was there already is read in any case, unless it becomes known that it cannot be.
    """
    loop = asyncio.get_running_loop()
    born_s = loop.time() - age_s  # on the clock that nobody sets
    recorded_s = -_RECORD_EVERY_S
    while True:
        age_s = loop.time() - born_s
        await _read(lines, reading)
        over = age_s >= window_s if lines.up_to_now else lines.lost is not None
        if age_s - recorded_s >= _RECORD_EVERY_S or over:
            recorded_s = age_s
            _record(timeline, min(age_s, window_s), reading)
        left_s = window_s - age_s if lines.up_to_now else _POLL_S
        if over or await told_within(told, min(_POLL_S, left_s)):
            break
    for text in lines.last():
        reading.take(text)
    return age_s


async def _read(source: Source, reading: Reading) -> None:
    """Take what came; what comes after all that was there before was written while we looked."""
    for lines in source.lines():
        for text in lines:
            reading.take(text)
        await asyncio.sleep(0)  # the other recorders keep their time
    if source.up_to_now:
        reading.follow()


def _record(timeline: Timeline, t_s: float, reading: Reading) -> None:
    worst = f"{reading.lines} lines, {reading.errors} errors, {reading.tracebacks} tracebacks"
    timeline.add(
        t_s,
        worst,
        so_far=_counted(reading, t_s),
        lines=reading.lines,
        errors=reading.errors,
        tracebacks=reading.tracebacks,
    )


def _measured(reading: Reading, began: Beginning, age_s: float, missing: str | None) -> list[Measurement]:
    notes = () if missing is None else (missing,)
    seen = [
        MEASURES.seen("log.read_from_start", missing is None, n=int(missing is None), window_s=age_s, notes=notes),
        *_counted(reading, age_s, notes),
    ]
    return [replace(measurement, how=f"{measurement.how}; {began.how}") for measurement in seen]


def _counted(reading: Reading, age_s: float, notes: tuple[str, ...] = ()) -> list[Measurement]:
    said = [*reading.examples, *notes]
    undecided = reading.undecided_errors()
    errors_n, errors_said = (0, [undecided, *said]) if undecided else (reading.lines, said)
    return [
        MEASURES.seen("log.errors", reading.errors, n=errors_n, window_s=age_s, notes=errors_said),
        MEASURES.seen("log.tracebacks", reading.tracebacks, n=reading.lines, window_s=age_s, notes=said),
    ]
