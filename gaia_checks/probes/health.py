"""Whether every request for /health is answered healthy."""

import asyncio
import contextlib
import math
import time
from collections.abc import Iterable

import httpx

from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import Measurement, Target
from gaia_checks.target.client import async_client, client
from gaia_checks.target.health_body import PATH, Pool, checks, database_connected, incomplete, pools, read
from gaia_checks.target.responses import CONFIG
from gaia_checks.target.samples import Score, Watch
from gaia_checks.target.server_process import age_s

NO_CACHE = {"Cache-Control": "no-cache"}  # a cached answer of a proxy says nothing about the server
AT_ONCE = 8
"""Checks at the same time, as of several monitors, after those in turn."""

BUSY = 4
"""Lists read at the same time, so that connections to the database are in use while /health is requested."""

ROUND = 2 * BUSY
"""Requests of one round of lists, with those for /health beside them; a pool that is full takes further rounds."""

REST_ROUNDS = 4
"""Requests for /health after the last list."""

_MOST_ROUNDS = 25  # of lists: a slow machine may answer them one after another
_REST_S = 0.05
_OLDER_S = 5.0  # an uptime may exceed the age of the process by this much: clocks are set and times rounded
_SEVERAL = 2  # connections; the only one of a pool may be the one of the check itself
_MOST_UNANSWERED = 3  # requests in a row without an answer, after which no more are sent


def probe(target: Target, *, requests: float, spacing_s: float) -> list[Measurement]:
    """Send `requests` requests, `spacing_s` apart, then a few at once; count the right answers: `health.good`.

    A server that accepts connections and does not answer is measured as wrong, after the first request if it has never
    answered. Raises TargetUnreachable when the first attempts get no connection.
    """
    watch, tally, answered, unanswered = Watch(), Score(), False, 0
    oldest_s, quiet = _oldest_s(target), list[Pool]()
    with client(target) as http:
        for number in range(int(requests)):
            time.sleep(max(0.0, number * spacing_s - watch.elapsed_s()))
            try:
                response = http.get(PATH, headers=NO_CACHE)
            except httpx.TransportError as error:
                tally.add(f"request {number + 1}: no answer: {type(error).__name__} {error}")
                if not answered and isinstance(error, httpx.ReadTimeout):
                    break
                unanswered += 1
                if unanswered < min(_MOST_UNANSWERED, requests):
                    continue
                if not answered and isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
                    raise TargetUnreachable(
                        f"{target.base_url}: no answer to GET {PATH} ({error}); is it running?"
                    ) from error
                break
            answered, unanswered = True, 0
            wrong = wrong_with(response) or _older(response, oldest_s + watch.elapsed_s())
            tally.add(f"request {number + 1}: {wrong}" if wrong else None)
            quiet += pools(response)
    if not tally.wrong:
        for wrong in asyncio.run(_at_once(target)):
            tally.add(f"one of {AT_ONCE} requests at once: {wrong}" if wrong else None)
    if not tally.wrong and quiet:
        tally.add(_swapped(quiet, *asyncio.run(_busy_then_at_rest(target, quiet))))
    return [
        watch.counted(
            "health.good", tally, f"GET {PATH}, {spacing_s:g} s apart, and {AT_ONCE} at once; its pool at rest and busy"
        )
    ]


async def _at_once(target: Target) -> list[str | None]:
    """Send AT_ONCE requests at the same time; return the fault of each answer, None for a good one."""

    async def one() -> str | None:
        try:
            return wrong_with(await http.get(PATH, headers=NO_CACHE))
        except httpx.TransportError as error:
            return f"no answer: {type(error).__name__} {error}"

    async with async_client(target) as http:
        return await asyncio.gather(*(one() for _ in range(AT_ONCE)))


async def _busy_then_at_rest(target: Target, before: list[Pool]) -> tuple[list[Pool], list[Pool]]:
    """Read lists, several at the same time, until the pool has been full and not full; then read nothing.

    Return the pools that /health reports meanwhile, and then.
    """
    busy, rest = list[Pool](), list[Pool]()
    async with async_client(target) as http:
        for _ in range(_MOST_ROUNDS):
            reading = [http.get(CONFIG, params={"limit": 1}) for _ in range(BUSY)]
            checking = [http.get(PATH, headers=NO_CACHE) for _ in range(BUSY)]
            answers = await asyncio.gather(*reading, *checking, return_exceptions=True)
            busy += [pool for answer in answers[BUSY:] if isinstance(answer, httpx.Response) for pool in pools(answer)]
            if _not_full((*before, *busy)):
                break
        for _ in range(REST_ROUNDS):
            await asyncio.sleep(_REST_S)
            with contextlib.suppress(httpx.TransportError):
                rest += pools(await http.get(PATH, headers=NO_CACHE))
    return busy, rest


def _swapped(before: list[Pool], busy: list[Pool], after: list[Pool]) -> str | None:
    """Return how a pool of several is full in most answers at rest, before and after, and not while lists are read.

    A server works a little by itself. One that is busy with others' requests is at rest as full as before only if its
    pool cannot grow.
    """
    quiet = before + after
    size = min(pool.size for pool in quiet)
    free = _not_full(busy)
    if size < _SEVERAL or not free or not (_mostly_full(before) and _mostly_full(after)):
        return None
    return (
        f"checks.database.pool: all of {size} connections are in use in most of {len(quiet)} answers, and "
        f"{free[0].in_use} of {free[0].size} while {BUSY} lists are read at once"
    )


def _mostly_full(pools: list[Pool]) -> bool:
    return bool(pools) and len(_not_full(pools)) <= len(pools) / 2


def _not_full(pools: Iterable[Pool]) -> list[Pool]:
    return [pool for pool in pools if pool.in_use < pool.size]


def _oldest_s(target: Target) -> float:
    """Return the age of the target's process; infinite where it is not known which process answers."""
    running_s = age_s(target.process) if target.process and not target.instances else None
    return math.inf if running_s is None else running_s


def _older(response: httpx.Response, oldest_s: float) -> str | None:
    """Return how an answer reports a longer uptime than the process can have; None without one."""
    uptime_s = read(response).get("uptime_s")
    if not isinstance(uptime_s, int | float) or uptime_s <= oldest_s + _OLDER_S:
        return None
    return f"uptime_s is {uptime_s:g}, but the process started {oldest_s:.1f} s ago"


def wrong_with(response: httpx.Response) -> str | None:
    """Return the fault of an answer of /health; None when it keeps the contract."""
    if response.status_code != 200:
        hint = "; if it is elsewhere, map it in [contract.paths]" if response.status_code == 404 else ""
        return f"status {response.status_code} instead of 200{hint}"
    content_type = response.headers.get("Content-Type", "")
    if content_type.partition(";")[0].strip() != "application/json":
        return f"content type {content_type!r} instead of application/json"
    body = read(response)
    if body.get("status") != "healthy":
        return f"status is {body.get('status')!r} instead of 'healthy'"
    for name in ("version", "digest"):
        if not isinstance(body.get(name), str) or not body[name]:
            return f"{name} is {body.get(name)!r}, not a text"
    if not database_connected(body):
        return f"checks.database is {checks(body).get('database')!r}, not connected"
    return incomplete(body)
