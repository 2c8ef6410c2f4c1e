"""The server's log from the start of its process: errors and tracebacks, until the window is over."""

import asyncio
import time

from gaia_checks.model import Measurement, Target
from gaia_checks.recorders.loglines import Reading
from gaia_checks.recorders.measures import Measures
from gaia_checks.recorders.sampling import told_within
from gaia_checks.recorders.tail import Tail
from gaia_checks.recorders.timeline import Timeline

MEASURES = Measures(
    {
        "log.read_from_start": ("bool", "whether what was read of the log reaches back to the start of the process"),
        "log.errors": ("lines", "lines of level error or above since the process started"),
        "log.tracebacks": ("lines", "lines with a traceback since the process started"),
    }
)

_POLL_S = 0.25
_RECORD_EVERY_S = 1.0
_HOW_TO_SEE = "run the gate on the machine where `gaia deploy` started the server, with the same GAIA_LOG_DIR"


async def record(target: Target, timeline: Timeline, told: asyncio.Event, *, window_s: float) -> list[Measurement]:
    """Read everything since the process started, and follow it until the process is `window_s` old.

    The log of an older process is read up to now. Where its beginning cannot be seen, nothing is decided.
    """
    if target.log is None or target.process is None:
        return MEASURES.unseen(f"the server's log, or when it began, is not known here; {_HOW_TO_SEE}")
    reading = Reading(target.process.created_s)
    tail = Tail(target.log, reading.begins_before)
    try:
        age_s = await _follow(target.process.created_s, window_s, tail, reading, timeline, told)
    except OSError as error:
        return MEASURES.unseen(f"{target.log}: cannot be read: {error.strerror}; run the gate as the server's user")
    return _measured(target, reading, tail, age_s)


async def _follow(
    created_s: float, window_s: float, tail: Tail, reading: Reading, timeline: Timeline, told: asyncio.Event
) -> float:
    """Read until the process is `window_s` old, or we are told to end; return how old it was at the last look."""
    loop = asyncio.get_running_loop()
    born_s = loop.time() - (time.time() - created_s)  # on the clock that nobody sets
    recorded_s = -_RECORD_EVERY_S
    while True:
        age_s = loop.time() - born_s
        await _read(tail, reading)
        if age_s - recorded_s >= _RECORD_EVERY_S or age_s >= window_s:
            recorded_s = age_s
            _record(timeline, min(age_s, window_s), reading)
        if age_s >= window_s or await told_within(told, min(_POLL_S, window_s - age_s)):
            break
    for text in tail.last():
        reading.take(text)
    return age_s


async def _read(tail: Tail, reading: Reading) -> None:
    """Take what came; whatever comes after the first call was written while we looked."""
    for lines in tail.lines():
        for text in lines:
            reading.take(text)
        await asyncio.sleep(0)  # the other recorders keep their time
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


def _measured(target: Target, reading: Reading, tail: Tail, age_s: float) -> list[Measurement]:
    missing = tail.lost or reading.missing_start()
    notes = () if missing is None else (f"{target.log}: {missing}; {_HOW_TO_SEE}",)
    return [
        MEASURES.seen("log.read_from_start", missing is None, n=int(missing is None), window_s=age_s, notes=notes),
        *_counted(reading, age_s, notes),
    ]


def _counted(reading: Reading, age_s: float, notes: tuple[str, ...] = ()) -> list[Measurement]:
    counts = {"log.errors": reading.errors, "log.tracebacks": reading.tracebacks}
    return [
        MEASURES.seen(name, count, n=reading.lines, window_s=age_s, notes=[*reading.examples, *notes])
        for name, count in counts.items()
    ]
