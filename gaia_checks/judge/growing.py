"""The best case of a growing sample: it continues without a failure until its next analysis. Pure.

A sample is judged at fixed times. Before them it decides nothing, except a failure that even a flawless rest cannot
undo.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from gaia_checks.judge import statistics
from gaia_checks.model import Criterion, Measurement

BLOCK_S = 10.0
"""The assumed rest is added in blocks as long as the measured ones."""


def at_best(measurement: Measurement, criterion: Criterion) -> Measurement:
    """Return the measurement as it is at the next analysis if every later request succeeds quickly.

    It is returned unchanged where its rule judges no growing sample, or no analysis follows.
    """
    more_s = judged_next_s(measurement.window_s, criterion.looks_s) - measurement.window_s
    if any(check.explained_by == measurement.name for check in criterion.checks):
        # judged with the sample that they explain; the rest is assumed to be without a stall
        return replace(measurement, window_s=measurement.window_s + more_s)
    rule = next((check.rule for check in criterion.checks if check.measurement == measurement.name), None)
    if rule not in _GROWN or measurement.n <= 0 or measurement.window_s <= 0 or more_s <= 0:
        return measurement
    more = math.ceil(measurement.n * more_s / measurement.window_s)
    return replace(
        measurement,
        value=_GROWN[rule](measurement, more, max(1, round(more_s / BLOCK_S))),
        n=measurement.n + more,
        window_s=measurement.window_s + more_s,
    )


def judged_next_s(window_s: float, looks_s: Sequence[float]) -> float:
    """Return when a sample of `window_s` is judged next; now where no look is to come."""
    return next((end_s for end_s in looks_s if end_s >= window_s), window_s)


def _better_share(measurement: Measurement, more: int, _: int) -> float:
    return (measurement.value * measurement.n + more) / (measurement.n + more)  # type: ignore[no-any-return]


def _better_outcomes(measurement: Measurement, more: int, blocks: int) -> dict[str, object]:
    value = measurement.value
    return {**value, "blocks": [*value["blocks"], *([count, 0] for count in _parts(more, blocks))]}


def _better_latencies(measurement: Measurement, more: int, blocks: int) -> list[str]:
    value = measurement.value
    measured = [value] if isinstance(value, str) else value
    parts = _parts(more, blocks)
    quick = {count: _quick(count, like=measured[0]) for count in set(parts)}  # a millisecond each, beside the load
    return [*measured, *(quick[count] for count in parts)]


_GROWN = {"at_least": _better_share, "proportion": _better_outcomes, "percentile": _better_latencies}
"""Rules of growing samples: a share of n requests, outcomes, latencies."""


def _parts(whole: int, parts: int) -> list[int]:
    return [whole // parts + (number < whole % parts) for number in range(parts)]


def _quick(count: int, *, like: str) -> str:
    """Return a histogram of the same kind as `like` with `count` requests of 1 us."""
    histogram = statistics.decode(like)
    histogram.reset()
    histogram.record_value(1, count)
    encoded: bytes = histogram.encode()
    return encoded.decode()
