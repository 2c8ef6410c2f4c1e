"""Rules of this run's own in the target, for as long as a look needs them.

They are taken away at the end, also when we are told to stop; should that fail, the gate does it, which knows them
by their names. What was counted and refused because of them goes with them.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import httpx

from gaia_checks.target import rules
from gaia_checks.target.responses import CONFIG, Answer, location

Body = Mapping[str, object]
"""A rule as the API takes it."""

SETTLE_S = 1.0
"""By then a new rule is in force on all processes of the server."""

_PATIENCE_S = 10.0
_REMOVE_WITHIN_S = 5.0


class NotTaken(Exception):
    """Why the server has no rule of ours. Its text holds no secret."""


@asynccontextmanager
async def in_force(http: httpx.AsyncClient, bodies: Sequence[Body]) -> AsyncIterator[None]:
    """Have rules in force. Raises NotTaken when the server refuses one, httpx.HTTPError when it does not answer."""
    made: list[str] = []
    creating = asyncio.create_task(_create(http, bodies, made))
    try:
        await asyncio.shield(creating)  # told to stop meanwhile, we still learn what to remove
        await asyncio.sleep(SETTLE_S)
        yield
    finally:
        try:
            async with asyncio.timeout(_REMOVE_WITHIN_S):
                await asyncio.gather(creating, return_exceptions=True)
                for path in made:
                    await _remove(http, path)
        except (TimeoutError, httpx.HTTPError) as error:
            _say(f"rules of ours could not be removed: {error or type(error).__name__}; the gate will do it")


async def _create(http: httpx.AsyncClient, bodies: Sequence[Body], made: list[str]) -> None:
    for body in bodies:
        created = await _patiently(http, "POST", CONFIG, json=body)
        if created.status_code != 201:
            raise NotTaken(f"POST {CONFIG} answered {created.status_code} instead of 201: there is no rule of ours")
        answer = Answer(f"POST {CONFIG}", created.status_code, created.headers, created.text, _json(created))
        if path := location(answer):
            made.append(path)


async def _remove(http: httpx.AsyncClient, path: str) -> None:
    removed = await _patiently(http, "DELETE", path)
    if removed.status_code not in (204, 404):
        _say(f"DELETE {path} answered {removed.status_code}; the gate will remove the rule")


async def _patiently(http: httpx.AsyncClient, method: str, path: str, **arguments: object) -> httpx.Response:
    """Send a request, again while the server says "later": its limits hold for us as for anybody."""
    deadline_s = _now() + _PATIENCE_S
    while True:
        response = await http.request(method, path, **arguments)  # type: ignore[arg-type] # httpx's own keywords
        wait_s = rules.later_s(response)
        if response.status_code != 429 or _now() + wait_s > deadline_s:
            return response
        await asyncio.sleep(wait_s)


def _json(response: httpx.Response) -> object:
    try:
        body: object = response.json()
    except (ValueError, RecursionError):
        return None
    return body


def _now() -> float:
    return asyncio.get_running_loop().time()


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - the process's own error file is part of the evidence
