"""What a server that is being started answers on its readiness path."""

import asyncio
from dataclasses import dataclass

import httpx

ANSWER_S = 5.0
"""Time limit of one answer, in seconds."""

_LONGEST = 200  # of a quoted line


@dataclass(frozen=True, slots=True)
class ReadinessAnswer:
    """One answer, or why there was none."""

    status: int  # 0: no answer
    message: str  # e.g. "GET /health answered 500: no database"
    cut_short: bool = False  # by `limit_s`, before an answer's own time limit: it says little


def client(port: int) -> httpx.AsyncClient:
    """Return a client for a server that listens on this loopback port."""
    # plain http: `verify` would load the system's authorities, 25 ms of CPU
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=False, timeout=ANSWER_S)  # noqa: S501


async def ask(http: httpx.AsyncClient, paths: tuple[str, ...], limit_s: float) -> ReadinessAnswer:
    """Request the first of `paths`; without any the contract's /readyz, and /health of a server that has none."""
    answer = await _get(http, paths[0] if paths else "/readyz", limit_s)
    return await _get(http, "/health", limit_s) if answer.status == 404 and not paths else answer


async def _get(http: httpx.AsyncClient, path: str, limit_s: float) -> ReadinessAnswer:
    limit_s, cut_short = min(limit_s, ANSWER_S), False
    try:
        async with asyncio.timeout(limit_s), http.stream("GET", path) as response:
            line = "" if response.is_success else await _first_line(response)
            return ReadinessAnswer(response.status_code, f"GET {path} answered {response.status_code}{line}")
    except (TimeoutError, httpx.TimeoutException):
        why, cut_short = f"no answer within {limit_s:.1f} s", limit_s < ANSWER_S
    except httpx.ConnectError:
        why = "connection refused"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        why = str(error) or type(error).__name__
    return ReadinessAnswer(0, f"GET {path}: {why}", cut_short)


async def _first_line(response: httpx.Response) -> str:
    """Return the first line of a body that says something, behind a colon."""
    async for text in response.aiter_text():
        if line := next((line.strip() for line in text.splitlines() if line.strip()), ""):
            return f": {line[:_LONGEST]}"
    return ""
