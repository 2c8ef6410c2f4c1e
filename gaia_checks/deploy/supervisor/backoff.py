"""Exponential back-off between restarts of a crashed server (pure)."""

FIRST_S = 0.1
LONGEST_S = 30.0
STABLE_S = 60.0
"""A server that ran this long has recovered: its next crash counts as the first."""


def consecutive_crashes(before: int, uptime_s: float) -> int:
    """Return the number of consecutive crashes, given `before` earlier ones and a crash after `uptime_s` of uptime."""
    return 1 if uptime_s >= STABLE_S else before + 1


def delay_s(crashes: int) -> float:
    """Return the delay in seconds after that many consecutive crashes (1 for the first)."""
    return float(min(LONGEST_S, FIRST_S * 2 ** min(crashes - 1, 20)))
