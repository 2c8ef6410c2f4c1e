"""The server's log from the start of its process: errors and tracebacks, until the window ends."""

import asyncio
import contextlib
from dataclasses import replace

from gaia_checks.model import NOT_CHECKED, Measurement, Target
from gaia_checks.recorders.base import process_start
from gaia_checks.recorders.base.measurement_table import Measures
from gaia_checks.recorders.base.metrics_client import NoSample
from gaia_checks.recorders.base.process_start import ProcessStart
from gaia_checks.recorders.base.sampling import stopped_within
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.recorders.log import log_source
from gaia_checks.recorders.log.log_source import Source
from gaia_checks.recorders.log.parser import Reading
from gaia_checks.target.unobservable import HERE, LOG, cannot_observe

MEASURES = Measures(
    {
        "log.read_from_start": ("bool", "whether the log was read from the start of the process"),
        "log.errors": ("lines", "lines of level error or above since the process started"),
        "log.tracebacks": ("lines", "lines with a traceback since the process started"),
        "log.levels": ("lines", "JSON lines whose level is text, of those that have a level"),
    }
)

_POLL_S = 0.25
_RECORD_EVERY_S = 1.0


async def record(target: Target, timeline: Timeline, stop: asyncio.Event, *, window_s: float) -> list[Measurement]:
    """Read the log since the process started, and follow it until the process is `window_s` old.

    The log of an older process is read up to now. Without the log's start there is no decision.
    """
    if target.log is None:
        return MEASURES.unobservable(_unobservable(target))
    try:
        start = await process_start.of(target)
    except NoSample as why:
        return MEASURES.unobservable(_unobservable(target, f"the process start is not reported: {why}"))
    reading = Reading(start.created_s)
    try:
        with contextlib.closing(log_source.of(target.log, reading.begins_before)) as lines:
            age_s = await _follow(start.age_s, window_s, lines, reading, timeline, stop)
    except OSError as error:
        return MEASURES.unobservable(_unobservable(target, f"{target.log}: cannot be read: {error.strerror or error}"))
    missing = lines.lost or reading.missing_start()
    return _measured(reading, start, age_s, _unobservable(target, f"{target.log}: {missing}") if missing else None)


def _unobservable(target: Target, why: str = "") -> str:
    settings = (LOG,) if target.log else (LOG, HERE)
    return cannot_observe(target, "the server's log since its start", *settings, why=why)


async def _follow(
    age_s: float, window_s: float, lines: Source, reading: Reading, timeline: Timeline, stop: asyncio.Event
) -> float:
    """Read until the process, `age_s` old now, is `window_s` old, or until `stop`; return its age at the end.

    Existing lines are read in any case, unless they prove unreadable.
    """
    loop = asyncio.get_running_loop()
    born_s = loop.time() - age_s  # on the monotonic clock
    recorded_s = -_RECORD_EVERY_S
    while True:
        age_s = loop.time() - born_s
        await _read(lines, reading)
        over = age_s >= window_s if lines.up_to_now else lines.lost is not None
        if age_s - recorded_s >= _RECORD_EVERY_S or over:
            recorded_s = age_s
            _record(timeline, min(age_s, window_s), reading)
        left_s = window_s - age_s if lines.up_to_now else _POLL_S
        if over or await stopped_within(stop, min(_POLL_S, left_s)):
            break
    for text in lines.last():
        reading.take(text)
    return age_s


async def _read(source: Source, reading: Reading) -> None:
    """Take new lines; lines after the existing ones were written while the recorder ran."""
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


def _measured(reading: Reading, start: ProcessStart, age_s: float, missing: str | None) -> list[Measurement]:
    notes = () if missing is None else (missing,)
    measurements = [
        MEASURES.measurement(
            "log.read_from_start", missing is None, n=int(missing is None), window_s=age_s, notes=notes
        ),
        *_counted(reading, age_s, notes),
    ]
    return [replace(measurement, how=f"{measurement.how}; {start.how}") for measurement in measurements]


def _counted(reading: Reading, age_s: float, notes: tuple[str, ...] = ()) -> list[Measurement]:
    examples = [*reading.examples, *notes]
    undecided = reading.undecided_errors()
    errors_n, error_notes = (0, [undecided, *examples]) if undecided else (reading.lines, examples)
    return [
        MEASURES.measurement("log.errors", reading.errors, n=errors_n, window_s=age_s, notes=error_notes),
        MEASURES.measurement("log.tracebacks", reading.tracebacks, n=reading.lines, window_s=age_s, notes=examples),
        _levels(reading, age_s, notes),
    ]


def _levels(reading: Reading, age_s: float, notes: tuple[str, ...]) -> Measurement:
    """Return how many levels are text: errors are found by them. A log of plain lines has none."""
    n = reading.levelled + reading.unreadable_levels
    if reading.unreadable_levels:
        notes = (f"a level that is no text hides errors: {reading.unreadable_example}",)
    elif not n:
        notes = (*notes, f"{NOT_CHECKED}no JSON line of the log has a `level`")
    return MEASURES.measurement("log.levels", reading.levelled, n=n, window_s=age_s, notes=notes)
