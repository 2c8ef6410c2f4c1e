"""The start time of the server's process: from this machine's record, else from the server's report."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx

from gaia_checks.model import Process, Target
from gaia_checks.recorders.base import metrics_client
from gaia_checks.recorders.base.metrics_client import NoSample
from gaia_checks.target import health_body
from gaia_checks.target.client import async_client
from gaia_checks.target.responses import METRICS
from gaia_checks.target.server_process import age_s

STARTED = "process_start_time_seconds"

EARLIER_S = 5.0
"""A process may be this much older than its reported uptime: it logs its first lines before the uptime counts."""


@dataclass(frozen=True, slots=True)
class ProcessStart:
    """The start of a process, and the source of that information."""

    created_s: float  # since the epoch, by the clock of the server's machine
    age_s: float  # its age at the time of the request
    how: str


async def of(target: Target) -> ProcessStart:
    """Return the start of the target's process. Raises NoSample when neither this machine nor the server has it."""
    if target.process is not None:
        how = "the start of the process by its record"
        return ProcessStart(target.process.created_s, _age_s(target.process), how)
    async with async_client(target) as http:
        return await _reported(http)


def _age_s(process: Process) -> float:
    """Return the age of `process`. Its record uses a clock that may have been set since."""
    running_s = age_s(process)
    return time.time() - process.created_s if running_s is None else running_s


async def _reported(http: httpx.AsyncClient) -> ProcessStart:
    try:
        response = await http.get(health_body.PATH)
        server_s, body = _clock_s(response.headers), health_body.read(response)
    except httpx.HTTPError as error:
        raise NoSample(f"GET {health_body.PATH}: no answer: {type(error).__name__} {error}") from error
    if isinstance(uptime_s := body.get("uptime_s"), int | float):
        how = f"the start of the process by uptime_s of GET {health_body.PATH}, and {EARLIER_S:g} s more"
        return ProcessStart(server_s - uptime_s - EARLIER_S, uptime_s, how)
    created_s = metrics_client.gauge(await metrics_client.read(http), STARTED)
    return ProcessStart(created_s, server_s - created_s, f"the start of the process by {STARTED} of GET {METRICS}")


def _clock_s(headers: Mapping[str, str]) -> float:
    """Return the time on the server's machine, as in its log, from its Date header; else this machine's."""
    try:
        return parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return time.time()
