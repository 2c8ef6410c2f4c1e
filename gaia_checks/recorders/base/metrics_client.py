"""What the server tells of itself at /metrics."""

import httpx

from gaia_checks.target import prometheus_text
from gaia_checks.target.prometheus_text import Exposition

METRICS = "/metrics"


class Unseen(Exception):
    """Why one sample could not be taken. Its text holds no secret."""


async def read(http: httpx.AsyncClient) -> Exposition:
    """Return what it tells now. Raises Unseen."""
    try:
        response = await http.get(METRICS)
        if response.status_code != 200:
            raise Unseen(f"GET {METRICS}: status {response.status_code} instead of 200")
        return prometheus_text.read(response.text)
    except httpx.HTTPError as error:
        raise Unseen(f"GET {METRICS}: no answer: {type(error).__name__} {error}") from error
    except ValueError as error:
        raise Unseen(f"GET {METRICS}: {error}") from error


def gauge(said: Exposition, name: str) -> float:
    """Return the one sample of a gauge. Raises Unseen, also for several: which of them would it be? Pure."""
    samples = said.samples.get(name)
    if not samples:
        raise Unseen(f"GET {METRICS}: the gauge {name} is missing")
    if len(samples) > 1:
        raise Unseen(
            f"GET {METRICS}: the gauge {name} is told {len(samples)} times; one series without labels is expected"
        )
    return samples[0].value
