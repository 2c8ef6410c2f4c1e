"""Reads one gauge of a server from its /metrics."""

import httpx

from gaia_checks.target import prometheus_text
from gaia_checks.target.responses import METRICS


def read(http: httpx.Client, name: str) -> float | None:
    """Return the gauge; None where the server reports none, or several of that name.

    Each reading takes a connection of its own. Raises HTTPError without an answer, ValueError for one that cannot be
    read.
    """
    samples = prometheus_text.read(http.get(METRICS, headers={"Connection": "close"}).text).samples.get(name, ())
    return samples[0].value if len(samples) == 1 else None
