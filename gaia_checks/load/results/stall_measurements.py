"""Stalls of this machine during a load: from the observer's timeline, per block of the load.

The observer (`recorders/resources/machine_stalls.py`) and the load share the monotonic clock of this machine. A load
whose workers are on other machines has no start on that clock, and yields no stalls.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gaia_checks import jsonl
from gaia_checks.load.results.per_second import BLOCK_S
from gaia_checks.model import Measurement

TIMELINE = Path("timelines") / "machine.jsonl"
"""The observer's file, in the evidence folder."""

Stall = tuple[float, float]
"""Start on the monotonic clock, and length, in seconds."""

_HOW = (
    "seconds per block of the load's outcomes in which a process that only sleeps woke up more than 10 ms late; "
    "half of a stall counts during the stall and half in the same time after it, while the backlog is worked off"
)
_WITHOUT = "this machine was not observed while the load ran"


class Stalls:
    """Reads the timeline of one gate's observer so far."""

    def __init__(self, folder: Path) -> None:
        """Read from an evidence folder; without an observer the timeline is missing."""
        self._timeline = jsonl.Reader(folder / TIMELINE)

    def known_until_s(self) -> float | None:
        """Return the end of the observation on the monotonic clock; None without any."""
        records = self._timeline.records()
        return float(records[-1]["monotonic_s"]) if records else None

    def behind(self, result: Mapping[str, Any]) -> bool:
        """Whether the observer has not yet reported on the whole time of a load's result."""
        known_s, ends_s = self.known_until_s(), _ends_s(result)
        return known_s is not None and ends_s is not None and known_s < ends_s

    def measurement(self, look: str, result: Mapping[str, Any]) -> Measurement:
        """Return the length of the stalls in each block of a load's result; n = seconds observed."""
        name, window_s, ends_s = f"{look}.machine_stalls", result["window_s"], _ends_s(result)
        started_s = 0.0 if ends_s is None else ends_s - window_s
        records = self._timeline.records()
        during = [each for each in records if ends_s is not None and _overlaps(each, started_s, ends_s)]
        if not during:
            return Measurement(name, None, "s", 0, window_s, jsonl.now(), _HOW, (_WITHOUT,))
        stalls = [(start - started_s, length) for each in during for start, length in each["stalls"]]
        stalls = [(start, length) for start, length in stalls if start + length > 0 and start < window_s]
        value = {
            "block_s": BLOCK_S,
            "stalled_s": per_block(stalls, result["block_spans"]),
            "stalls": len(stalls),
            "longest_s": max((length for _, length in stalls), default=0.0),
        }
        return Measurement(name, value, "s", len(during), window_s, jsonl.now(), _HOW)


def per_block(stalls: Sequence[Stall], spans: Sequence[Sequence[float]]) -> list[float]:
    """Return the seconds of stalls that belong to each block, given as [start, end]. Pure.

    Requests due in a stall are late, and so are those due while the server works off the backlog, which takes about as
    long again. So a stall spans twice its length, at half its weight. The parts add up to its length.
    """
    return [
        round(sum(max(0.0, min(end, start + 2 * length) - max(begin, start)) for start, length in stalls) / 2, 4)
        for begin, end in spans
    ]


def lateness_ms(records: Sequence[Mapping[str, Any]], share: float) -> float:
    """Return a percentile (`share`, e.g. 0.99) of the lateness of work due at a random time. Pure.

    A stall of length L makes work due in it late by 0 to L. So the time in which work would be later than x is the sum
    of L - x over all stalls longer than x. Stalls up to 10 ms are not recorded.
    """
    lengths = sorted((float(length) for each in records for _, length in each["stalls"]), reverse=True)
    later_s = (1 - share) * sum(
        float(each["seconds"]) for each in records
    )  # time in which the lateness exceeds the percentile
    total, latest_s = 0.0, 0.0
    for number, length in enumerate(lengths, start=1):
        total += length
        latest_s = max(latest_s, (total - later_s) / number)
    return latest_s * 1000


def _ends_s(result: Mapping[str, Any]) -> float | None:
    started_s = result.get("started_s")
    return None if started_s is None else float(started_s + result["window_s"])


def _overlaps(record: Mapping[str, Any], begin_s: float, end_s: float) -> bool:
    return bool(record["monotonic_s"] > begin_s and record["monotonic_s"] - record["seconds"] < end_s)
