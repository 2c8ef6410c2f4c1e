"""How long to wait before a crashed server is started again (pure)."""

FIRST_S = 0.1
LONGEST_S = 30.0
STABLE_S = 60.0
"""A server that ran this long has recovered: its next crash is the first one again."""


def crashes_in_a_row(before: int, uptime_s: float) -> int:
    """Return how many crashes stand in a row now, `before` of them before one after `uptime_s` of running."""
    return 1 if uptime_s >= STABLE_S else before + 1


def delay_s(crashes: int) -> float:
    """Return the seconds to wait after the given number of crashes in a row (1 for the first)."""
    return float(min(LONGEST_S, FIRST_S * 2 ** min(crashes - 1, 20)))
