"""How much of a failure the stalls of the measuring machine explain. Pure.

While a machine stalls, nothing on it runs: neither the server nor the generator. Requests due then are slow or
fail whatever the quality of the server. They are removed from the bad requests, block by block, and the rest is judged
again. That may make a failure inconclusive. It never makes a failure a pass, and passes are not reconsidered.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gaia_checks.judge import statistics
from gaia_checks.model import Check, Finding, Measurement, State

STOOD_STILL = "the machine stood still"

CATCH_UP = 2
"""A server at 50 % utilisation needs as long again as the stall lasted to process the requests that waited."""

SHORTEST_TIMEOUT_S = 0.5
"""A stall makes a request fail only by outlasting a timeout: the load's own is 10 s, a server's are rarely below this.

A shorter one makes requests slow. An answer of status 500 in a stall of 20 ms is the server's own."""


def reconsidered(
    check: Check,
    finding: Finding,
    measurement: Measurement,
    stalls: Measurement,
    judge: Callable[[Measurement], Finding],
) -> Finding:
    """Return the finding of a failure without the requests that stalls explain: still failed, or inconclusive.

    `judge` is the check's own rule. Stalls that cannot be read, or were not measured, change nothing.
    """
    try:
        stalled_s = [float(each) for each in stalls.value["stalled_s"]] if stalls.n > 0 else []
        if check.rule == "proportion" and stalled_s and stalls.value["longest_s"] < SHORTEST_TIMEOUT_S:
            return finding
        rest, bad, explained = _WITHOUT[check.rule](check, measurement, _most(measurement, stalled_s))
    except (KeyError, TypeError, ValueError, IndexError):
        return finding
    if not explained:
        return finding
    again = judge(rest) if rest.n > 0 else None
    if again is not None and again.state is State.FAIL:
        return finding
    kind = "slow" if check.rule == "percentile" else "failed"
    explanation = f"which explains up to {explained} of the {bad} {kind} requests; {_without_them(check, again)}"
    return replace(
        finding,
        state=State.INCONCLUSIVE,
        why=f"{finding.why}; but {_stood_still(stalls.value)}, {explanation}",
        needs_s=again.needs_s if again else None,
    )


def _most(measurement: Measurement, stalled_s: list[float]) -> list[int]:
    """Return the maximum number of requests of each block that stalls explain; the load's rate is constant."""
    per_s = measurement.n / measurement.window_s
    return [math.ceil(CATCH_UP * seconds * per_s) for seconds in stalled_s]


def _without_failures(_check: Check, measurement: Measurement, most: list[int]) -> tuple[Measurement, int, int]:
    """Remove failed requests from a proportion's blocks; return the rest, how many failed and how many were removed."""
    blocks = [(int(requests), int(failures)) for requests, failures in measurement.value["blocks"]]
    out = [min(failures, allowed) for (_, failures), allowed in _beside(blocks, most)]
    left = [[requests - gone, failures - gone] for (requests, failures), gone in zip(blocks, out, strict=True)]
    bad, explained = sum(failures for _, failures in blocks), sum(out)
    value = {**measurement.value, "failures": bad - explained, "blocks": left}
    return replace(measurement, value=value, n=measurement.n - explained), bad, explained


def _without_slow(check: Check, measurement: Measurement, most: list[int]) -> tuple[Measurement, int, int]:
    """Remove the slowest requests, of those above the threshold, from a percentile's histograms."""
    encoded = [measurement.value] if isinstance(measurement.value, str) else measurement.value
    left, bad, explained = list[str](), 0, 0
    for text, allowed in _beside(encoded, most):
        slow, gone, rest = _slowest_out(text, float(check.threshold), allowed)
        left.append(rest)
        bad, explained = bad + slow, explained + gone
    return replace(measurement, value=left, n=measurement.n - explained), bad, explained


def _slowest_out(text: str, limit_ms: float, allowed: int) -> tuple[int, int, str]:
    """Return how many requests may lie at the limit or above, how many were removed, and the remaining histogram."""
    histogram = statistics.decode(text)
    counts = np.ctypeslib.as_array(histogram.counts)
    slow, gone = 0, 0
    for index in np.flatnonzero(counts)[::-1]:
        value = histogram.get_value_from_index(int(index))
        if (histogram.get_highest_equivalent_value(value) + 1) / 1000 < limit_ms:
            break
        slow += int(counts[index])
        out = min(int(counts[index]), allowed - gone)
        counts[index] -= out
        gone += out
    return slow, gone, histogram.encode().decode() if gone else text


_WITHOUT: Mapping[str, Callable[[Check, Measurement, list[int]], tuple[Measurement, int, int]]] = {
    "proportion": _without_failures,
    "percentile": _without_slow,
}
"""Rules whose failures stalls may explain."""

RULES = tuple(_WITHOUT)


def _beside(blocks: list[Any], most: list[int]) -> list[tuple[Any, int]]:
    """Pair each block with its explained requests: none after the last block that was observed."""
    if len(most) > len(blocks):
        raise ValueError(f"stalls of {len(most)} blocks, but the load has {len(blocks)}")
    return list(zip(blocks, [*most, *[0] * (len(blocks) - len(most))], strict=True))


def _stood_still(value: Mapping[str, Any]) -> str:
    total_s, longest_s, count = sum(value["stalled_s"]), float(value["longest_s"]), int(value["stalls"])
    how = f"{count} stalls (longest {longest_s:.2f} s)" if count != 1 else "one stall"
    return f"{STOOD_STILL} for {total_s:.2f} s in {how}"


def _without_them(check: Check, again: Finding | None) -> str:
    if again is None or again.measured is None:
        return "no request remains without them"
    if check.percentile is not None:
        return f"without them p{check.percentile:g} is {float(again.measured):.1f} ms"
    return f"without them {float(again.measured):.3%} succeed"
