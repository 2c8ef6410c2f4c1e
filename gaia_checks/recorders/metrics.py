"""What the server tells of itself at /metrics."""

import re

import httpx

METRICS = "/metrics"


class Unseen(Exception):
    """Why one sample could not be taken. Its text holds no secret."""


async def read(http: httpx.AsyncClient) -> str:
    """Return Prometheus text. Raises Unseen."""
    try:
        response = await http.get(METRICS)
    except httpx.HTTPError as error:
        raise Unseen(f"GET {METRICS}: no answer: {type(error).__name__} {error}") from error
    if response.status_code != 200:
        raise Unseen(f"GET {METRICS}: status {response.status_code} instead of 200")
    return response.text


def gauge(metrics: str, name: str) -> float:
    """Return the first sample of a gauge in Prometheus text. Raises Unseen. Pure."""
    found = re.search(rf"^{name}(?:{{.*}})?[ \t]+(\S+)", metrics, re.MULTILINE)
    if not found:
        raise Unseen(f"GET {METRICS}: the gauge {name} is missing")
    try:
        return float(found[1])
    except ValueError:
        raise Unseen(f"GET {METRICS}: {name} is {found[1]}, no number") from None
