"""Whether instances share what they must: limits, rules and events. A few requests to each, under rules of this run.

Every client of the trial but two is limited by a rule that is made on one instance, refused on the next one and
released there; the instance after that must deliver the refusal to its WebSocket client. The rule of one of them is
used up on all instances in turn, and a quota by requests to all of them at the same time.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx

from gaia_checks.model import Target
from gaia_checks.recorders.limits.header_checks import refused_by
from gaia_checks.recorders.limits.limits_recorder import PATH
from gaia_checks.recorders.soak import soak_clients
from gaia_checks.recorders.soak.soak_clients import Clients
from gaia_checks.recorders.soak.trigger_events import VIOLATION_WITHIN_S
from gaia_checks.target import addresses, client, rules
from gaia_checks.target.responses import CONFIG, Answer, location
from gaia_checks.target.samples import Score
from gaia_checks.target.temporary_rules import SETTLE_S, RuleRefused

LASTS_S = 6.0
"""About how long the trial takes."""

EACH = 4
"""Requests to each instance that the shared rule admits; one more to each must be refused."""

_QUOTA = "monthly_quota"  # of all periods, its end falls into a trial most rarely
_POLL_S = 0.05


@dataclass(frozen=True)
class Shared:
    """What was found, and every fault with the address of the instance."""

    limits: Score = field(default_factory=Score)
    rules: Score = field(default_factory=Score)
    events: Score = field(default_factory=Score)


@dataclass(frozen=True)
class _Peer:
    """One instance, and the client whose rule is made there."""

    target: Target
    http: httpx.AsyncClient
    key: str

    @property
    def address(self) -> str:
        return self.target.base_url


async def observe(target: Target) -> Shared:
    """Take the trial, unless no rule can be made. Its rules are removed; what cannot be, the gate removes later."""
    shared = Shared()
    if target.no_rules:
        return shared
    async with AsyncExitStack() as stack:
        peers = [
            _Peer(at, await stack.enter_async_context(client.async_client(at)), f"{target.key}-instances-{number}")
            for number, at in enumerate(addresses.each(target))
        ]
        listening = [
            await stack.enter_async_context(soak_clients.connected(each.target, 1, (peers[number - 2].key,)))
            for number, each in enumerate(peers)
        ]
        try:
            await _share(peers, listening, f"{target.key}-instances", shared)
        except httpx.HTTPError as error:
            shared.rules.add(f"{error.request.url.copy_with(raw_path=b'/')}: no answer: {type(error).__name__} {error}")
        except RuleRefused as why:
            shared.rules.add(str(why))
    return shared


async def _share(peers: Sequence[_Peer], listening: Sequence[Clients], key: str, shared: Shared) -> None:
    limit = EACH * len(peers)
    made: list[tuple[_Peer, str]] = []
    try:
        shared_rules = [(peers[0], key, "requests_per_hour", limit), (peers[0], f"{key}-quota", _QUOTA, limit)]
        for each, limited, kind, most in (*((each, each.key, "requests_per_hour", 1) for each in peers), *shared_rules):
            path = await _made(each, limited, kind, most)
            made.append((each, path))  # at once: what was made is removed, whatever happens next
        await asyncio.sleep(SETTLE_S)
        await _use_up(peers, key, limit, shared.limits)
        await _use_up_at_once(peers, f"{key}-quota", limit, shared.limits)
        await _refuse_on_the_next(peers, shared.rules)
        await _delivered(peers, listening, shared.events)
        await _release_on_the_next(peers, [path for _, path in made], shared.rules)
    finally:
        for each, path in made:
            with contextlib.suppress(httpx.HTTPError):
                await _managed(each, "DELETE", path)


async def _made(peer: _Peer, key: str, kind: str, limit: int) -> str:
    """Make a rule on an instance; return its path. Raises RuleRefused."""
    made = await _managed(peer, "POST", CONFIG, json=rules.for_one_key(key, kind, limit))
    path = None
    if made.status_code == 201:
        path = location(Answer(f"POST {CONFIG}", made.status_code, made.headers, made.text, made.json()))
    if path is None:
        raise RuleRefused(f"{peer.address}: POST {CONFIG} answered {made.status_code}: no temporary rule exists")
    return path


async def _use_up(peers: Sequence[_Peer], key: str, limit: int, score: Score) -> None:
    """Send to each instance in turn until all refuse, or those of one database would: exactly `limit` are admitted."""
    admitted = 0
    for _ in range(2 * EACH + 1):
        statuses = [await _status(peer, key) for peer in peers]
        admitted += statuses.count(404)
        if 404 not in statuses:
            break
    _judge_used_up(peers, statuses, admitted, limit, "in turn", score)


async def _use_up_at_once(peers: Sequence[_Peer], key: str, quota: int, score: Score) -> None:
    """Send to all instances at the same time, more than a quota admits, and then once more to each."""
    statuses = await asyncio.gather(*(_status(peer, key) for peer in peers for _ in range(EACH + 1)))
    last = [await _status(peer, key) for peer in peers]
    _judge_used_up(peers, last, statuses.count(404) + last.count(404), quota, "at once", score)


def _judge_used_up(
    peers: Sequence[_Peer], last: Sequence[int], admitted: int, limit: int, how: str, score: Score
) -> None:
    """Count the instances that refuse the last request, and whether all together admitted what the rule says."""
    for peer, status in zip(peers, last, strict=True):
        wrong = _wrong(status, refused=True)
        score.add(f"{peer.address}: {wrong} after a client's {limit} requests to all {how}" if wrong else None)
    in_total = f"{admitted} requests of one client to all instances {how} were admitted under a rule of {limit}"
    score.add(None if admitted == limit else in_total)


async def _refuse_on_the_next(peers: Sequence[_Peer], score: Score) -> None:
    """Count the rules that were made, and used up, on one instance and refuse on the next one."""
    for number, there in enumerate(peers):
        here = peers[number - 1]
        wrong = _wrong(await _status(here, here.key), refused=False)
        score.add(f"{here.address}: {wrong} although its rule admits one request" if wrong else None)
        wrong = _wrong(await _status(there, here.key), refused=True)
        why = f"{there.address}: {wrong} against a rule that {here.address} had made {SETTLE_S:g} s before and used up"
        score.add(why if wrong else None)


async def _release_on_the_next(peers: Sequence[_Peer], paths: Sequence[str], score: Score) -> None:
    """Count the rules that the next instance removes, and that the one after it then no longer enforces."""
    for number, each in enumerate(peers):
        there = peers[(number + 1) % len(peers)]
        status = (await _managed(there, "DELETE", paths[number])).status_code
        why = f"{there.address}: DELETE of a rule that {each.address} had made answered {status} instead of 204"
        score.add(None if status == 204 else why)
    await asyncio.sleep(SETTLE_S)
    for number, each in enumerate(peers):
        there, last = peers[(number + 1) % len(peers)], peers[(number + 2) % len(peers)]
        wrong = _wrong(await _status(last, each.key), refused=False)
        why = f"{last.address}: {wrong} by a rule that {there.address} had removed {SETTLE_S:g} s before"
        score.add(why if wrong else None)


async def _delivered(peers: Sequence[_Peer], listening: Sequence[Clients], score: Score) -> None:
    """Count the instances whose WebSocket client received the refusal that happened on another one."""
    deadline_s = _now() + VIOLATION_WITHIN_S
    while _now() < deadline_s and not all(map(_received, listening)):  # noqa: ASYNC110 - several clients set it
        await asyncio.sleep(_POLL_S)
    for number, (peer, clients) in enumerate(zip(peers, listening, strict=True)):
        wrong = f"a refusal on {peers[number - 1].address} did not arrive within {VIOLATION_WITHIN_S:g} s"
        why = clients.refused[0] if clients.refused else wrong
        score.add(None if _received(clients) else f"{peer.address}: WebSocket: {why}")


def _received(clients: Clients) -> bool:
    return any(each.violation_s is not None for each in clients.listeners)


async def _status(peer: _Peer, key: str) -> int:
    """Return the status of one request of a client; one that only a rule of somebody else refused is sent again."""

    def foreign(answer: httpx.Response) -> bool:
        by = refused_by({name.lower(): value for name, value in answer.headers.items()})
        return bool(by) and key not in by

    return (await _patiently(peer, "GET", PATH, foreign, headers={"X-API-Key": key})).status_code


async def _managed(peer: _Peer, method: str, path: str, **arguments: Any) -> httpx.Response:
    """Send a request that makes or removes a rule; one that a limit refused is sent again."""
    return await _patiently(peer, method, path, lambda _: True, **arguments)


async def _patiently(
    peer: _Peer, method: str, path: str, again: Callable[[httpx.Response], bool], **arguments: Any
) -> httpx.Response:
    """Send a request until a limit no longer refuses it, as long as patience lasts and `again` agrees."""
    patience = rules.Patience()
    while True:
        answer = await peer.http.request(method, path, **arguments)
        wait_s = patience.wait_s(answer.status_code, answer) if again(answer) else None
        if wait_s is None:
            return answer
        await asyncio.sleep(wait_s)


def _wrong(status: int, *, refused: bool) -> str | None:
    """Return the fault of an answer: 404 is admitted, 429 refused. Pure."""
    if status == (429 if refused else 404):
        return None
    return {404: "admitted", 429: "refused"}.get(status, f"status {status}")


def _now() -> float:
    return asyncio.get_running_loop().time()
