"""Reads the server's own metrics at /metrics."""

import httpx

from gaia_checks.target import prometheus_text
from gaia_checks.target.prometheus_text import Exposition
from gaia_checks.target.responses import METRICS


class NoSample(Exception):
    """Why one sample could not be taken. Its text contains no secret."""


async def read(http: httpx.AsyncClient) -> Exposition:
    """Return the current metrics. Raises NoSample."""
    try:
        response = await http.get(METRICS)
        if response.status_code != 200:
            raise NoSample(f"GET {METRICS}: status {response.status_code} instead of 200")
        return prometheus_text.read(response.text)
    except httpx.HTTPError as error:
        raise NoSample(f"GET {METRICS}: no answer: {type(error).__name__} {error}") from error
    except ValueError as error:
        raise NoSample(f"GET {METRICS}: {error}") from error


def gauge(exposition: Exposition, name: str) -> float:
    """Return the one sample of a gauge. Raises NoSample, also for several, as the right one is unknown. Pure."""
    samples = exposition.samples.get(name)
    if not samples:
        raise NoSample(f"GET {METRICS}: the gauge {name} is missing")
    if len(samples) > 1:
        raise NoSample(f"GET {METRICS}: the gauge {name} has {len(samples)} series; one without labels is expected")
    return samples[0].value
