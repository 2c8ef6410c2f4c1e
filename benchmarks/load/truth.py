"""The exact latencies of a server that stalls at the beginning of every ten seconds. Pure.

A request due x seconds into a stall of S seconds waits S - x; all others take negligible time. Of requests that are
spread evenly, the share (S - w) / 10 waits longer than w: so the p-th percentile is S - 10 (1 - p / 100), at least 0.
"""

PERIOD_S = 10
PERCENTILES = (50.0, 90.0, 99.0, 99.9)


def percentile_ms(stall_s: float, percentile: float) -> float:
    """Return a percentile of the latency."""
    return round(max(0.0, stall_s - PERIOD_S * (1 - percentile / 100)) * 1000, 3)


def allowed_ms(truth_ms: float, rate_per_s: float) -> float:
    """Return the tolerance of a measurement: 2 %, or one arrival interval and 1 ms."""
    return max(0.02 * truth_ms, 1000 / rate_per_s + 1)
