"""Whether two server processes on one database act as one: changes of rules, and limits for which requests race."""

import asyncio
import itertools
import time
from collections.abc import Iterator

import httpx

from gaia_checks.model import Target
from gaia_checks.probes.fresh_install.fresh_servers import (
    ADMITTED,
    OTHER,
    REFUSED,
    Installation,
    Sample,
    administrator,
    changed,
    nobody,
    rule,
    unless,
)
from gaia_checks.probes.identity.own_rules import HEADERS, standings
from gaia_checks.target.client import async_client
from gaia_checks.target.temporary_rules import SETTLE_S

_CHANGES, _APART_S = 8, 0.27  # over a bit more than two seconds: a server that polls the rules meets them at any time
_ROUNDS = 2
_RACES, _LIMIT = 3, 100
_MANY = 100_000
_EACH = 80  # requests to each process, of which the limit admits somewhat more than half
_CONNECTIONS = 16


def changes(installed: Installation) -> Iterator[Sample]:
    """Yield whether rules that one process enables count on the other one a second later.

    A round in which one was late is repeated: a machine that stood still delays the changes of one moment only.
    """
    for number in range(_ROUNDS):
        found = list(_enabled(installed, number))
        if not any(found):
            break
    yield from found


def _enabled(installed: Installation, number: int) -> Iterator[Sample]:
    """Enable rules one after the other; yield whether each counts on the other process a second later."""
    keys = [installed.name(f"changed-{number}-{each}") for each in range(_CHANGES)]
    with administrator(installed.direct) as here, nobody(installed.behind_proxy) as there:
        made = [rule(here, key, "api_key", key, _LIMIT, enabled=False) for key in keys]
        enabled_s: list[tuple[str, float]] = []
        for key, before in zip(keys, made, strict=True):
            changed(here, before, enabled=True)
            enabled_s.append((key, time.monotonic()))
            time.sleep(_APART_S)
            due = [each for each in enabled_s if each[1] + SETTLE_S <= time.monotonic()]
            yield from (_counts(there, *each) for each in due)
            enabled_s = enabled_s[len(due) :]
        for key, at_s in enabled_s:
            time.sleep(max(0.0, at_s + SETTLE_S - time.monotonic()))
            yield _counts(there, key, at_s)


def _counts(there: httpx.Client, key: str, enabled_s: float) -> Sample:
    after_s = time.monotonic() - enabled_s
    found = standings(there.get(OTHER, headers={HEADERS["api_key"]: key}))
    return unless(
        key in found.limits,
        f"{key} was enabled on one process and does not count on another {after_s:.1f} s later: {found.named} counts",
    )


def shared_limits(installed: Installation) -> Iterator[Sample]:
    """Yield whether a limit is exact when requests to both processes race for it, and a global one counts everybody."""
    with administrator(installed.direct) as admin:
        keys = [installed.name(f"raced-{number}") for number in range(_RACES)]
        everybody, named = installed.name("everybody"), installed.name("one-of-all")
        for key in (*keys, named):
            rule(admin, key, "api_key", key, _LIMIT)
        rule(admin, everybody, "global", None, _MANY)
        time.sleep(SETTLE_S)
        targets = (installed.direct, installed.behind_proxy)
        for key in keys:
            yield from _exact(asyncio.run(_race(targets, key)))
        with administrator(installed.behind_proxy) as other:
            yield from _counted_together((admin, other), everybody, named)


def _exact(statuses: list[int]) -> Iterator[Sample]:
    admitted, sent = statuses.count(ADMITTED), len(statuses)
    yield unless(
        admitted + statuses.count(REFUSED) == sent,
        f"requests that raced for one limit were answered {sorted(set(statuses))}, not {ADMITTED} or {REFUSED}",
    )
    yield unless(
        admitted == _LIMIT, f"of {sent} requests to two processes at once, {admitted} passed a limit of {_LIMIT}"
    )


async def _race(targets: tuple[Target, ...], key: str) -> list[int]:
    """Send to both at the same time, on several connections each; return the statuses."""

    async def send(http: httpx.AsyncClient, number: int) -> list[int]:
        return [(await http.get(OTHER, headers=headers)).status_code for _ in range(number)]

    headers = {HEADERS["api_key"]: key}
    async with async_client(targets[0], keyed=False) as one, async_client(targets[1], keyed=False) as other:
        found = await asyncio.gather(
            *(send(http, _EACH // _CONNECTIONS) for http in (one, other) for _ in range(_CONNECTIONS))
        )
    return list(itertools.chain(*found))


def _counted_together(processes: tuple[httpx.Client, httpx.Client], everybody: str, named: str) -> Iterator[Sample]:
    """Yield whether a global rule counts an address, a key and a user together, on both processes."""
    whom: tuple[dict[str, str], ...] = ({}, {HEADERS["api_key"]: named}, {HEADERS["user"]: named})
    left = [
        standings(http.get(OTHER, headers=headers)).remaining.get(everybody, 0)
        for http, headers in itertools.product(processes, whom)
    ]
    for before, after in itertools.pairwise(left):
        yield unless(
            after == before - 1,
            f"requests of an address, a key and a user to two processes left {left} of one global limit",
        )
