"""Temporary rules of this run in the target, for the duration of a recorder.

They are removed at the end, also on a stop; when that fails, the gate removes them by their names. Their counts and
refusals are deleted with them.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import httpx

from gaia_checks.errors import AdapterError
from gaia_checks.target import rules
from gaia_checks.target.responses import CONFIG, Answer, location

Body = Mapping[str, object]
"""The API's body of a rule."""

SETTLE_S = 1.0
"""After this time a new rule is in force on all server processes."""

_REMOVE_WITHIN_S = 5.0


class RuleRefused(Exception):
    """Why the server has no temporary rule. Its text contains no secret."""


@asynccontextmanager
async def in_force(http: httpx.AsyncClient, bodies: Sequence[Body]) -> AsyncIterator[None]:
    """Keep rules in force. Raises RuleRefused when the server refuses one, httpx.HTTPError when it does not answer."""
    created_paths: list[str] = []
    creating = asyncio.create_task(_create(http, bodies, created_paths))
    try:
        await asyncio.shield(creating)  # a stop meanwhile must not lose the paths to remove
        await asyncio.sleep(SETTLE_S)
        yield
    finally:
        try:
            async with asyncio.timeout(_REMOVE_WITHIN_S):
                await asyncio.gather(creating, return_exceptions=True)
                for path in created_paths:
                    await _remove(http, path)
        except (TimeoutError, httpx.HTTPError, AdapterError) as error:
            _log(f"temporary rules could not be removed: {error or type(error).__name__}; the gate will remove them")


async def _create(http: httpx.AsyncClient, bodies: Sequence[Body], created_paths: list[str]) -> None:
    for body in bodies:
        created = await _send(http, "POST", CONFIG, json=body)
        if created.status_code != 201:
            raise RuleRefused(f"POST {CONFIG} answered {created.status_code} instead of 201: no temporary rule exists")
        answer = Answer(f"POST {CONFIG}", created.status_code, created.headers, created.text, _json(created))
        if path := location(answer):
            created_paths.append(path)


async def _remove(http: httpx.AsyncClient, path: str) -> None:
    removed = await _send(http, "DELETE", path)
    if removed.status_code not in (204, 404):
        _log(f"DELETE {path} answered {removed.status_code}; the gate will remove the rule")


async def _send(http: httpx.AsyncClient, method: str, path: str, **arguments: object) -> httpx.Response:
    """Send a request and retry it on 429."""
    patience = rules.Patience()
    while True:
        response = await http.request(method, path, **arguments)  # type: ignore[arg-type] # httpx's own keywords
        if (wait_s := patience.wait_s(response.status_code, response)) is None:
            return response
        await asyncio.sleep(wait_s)


def _json(response: httpx.Response) -> object:
    try:
        body: object = response.json()
    except (ValueError, RecursionError):
        return None
    return body


def _log(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - the process's own error file is part of the evidence
