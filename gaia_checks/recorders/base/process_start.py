"""When the server's process began: what this machine knows, else what the server tells."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx

from gaia_checks.model import Process, Target
from gaia_checks.recorders.base import metrics_client
from gaia_checks.recorders.base.metrics_client import Unseen
from gaia_checks.target import health_body
from gaia_checks.target.client import async_client
from gaia_checks.target.server_process import find

STARTED = "process_start_time_seconds"

EARLIER_S = 5.0
"""A process may be so much older than the uptime that it tells: its first lines stand before that begins to count."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """The start of a process, and how we know of it."""

    created_s: float  # since the epoch, by the clock of the server's machine
    age_s: float  # how long ago that was when it was asked
    how: str


async def of(target: Target) -> Beginning:
    """Return when the target's process began. Raises Unseen when neither this machine nor the server tells."""
    if target.process is not None:
        how = "the start of the process by its record"
        return Beginning(target.process.created_s, _age_s(target.process), how)
    async with async_client(target) as http:
        return await _told(http)


def _age_s(process: Process) -> float:
    """Return how long ago `process` began: its record tells that by a clock that may have been set since."""
    running = find(process)
    return time.time() - (running.create_time() if running else process.created_s)


async def _told(http: httpx.AsyncClient) -> Beginning:
    try:
        response = await http.get(health_body.PATH)
        there_s, body = _clock_s(response.headers), health_body.read(response)
    except httpx.HTTPError as error:
        raise Unseen(f"GET {health_body.PATH}: no answer: {type(error).__name__} {error}") from error
    if isinstance(uptime_s := body.get("uptime_s"), int | float):
        how = f"the start of the process by uptime_s of GET {health_body.PATH}, and {EARLIER_S:g} s more"
        return Beginning(there_s - uptime_s - EARLIER_S, uptime_s, how)
    created_s = metrics_client.gauge(await metrics_client.read(http), STARTED)
    return Beginning(
        created_s, there_s - created_s, f"the start of the process by {STARTED} of GET {metrics_client.METRICS}"
    )


def _clock_s(headers: Mapping[str, str]) -> float:
    """Return the time on the server's machine, which stamps its log, by its Date header; ours if there is none."""
    try:
        return parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return time.time()
