"""Whether every WebSocket client receives every message while others come and go."""

import asyncio
import contextlib
import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gaia_checks.errors import Inconclusive
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.rehearsal import open_websocket, passing_clients
from gaia_checks.probes.rehearsal.counted_rules import CountedRule, Counting, counting
from gaia_checks.probes.rehearsal.passing_clients import AT_ONCE, PassingClients
from gaia_checks.target.client import message
from gaia_checks.target.samples import Score, Watch

DELIVERED = "soak.delivered_to_all"
UNITS = {DELIVERED: "count"}

_LISTENERS = 20
_EVENTS, _APART_S = 12, 0.2
_GROUP_WITHIN_S = 2.0  # after each event at least one group of others comes, and takes so long on a slow machine
_WITHIN_S = 15.0  # violations are pushed at once; a slow machine explains no more than this
_POLL_S = 0.05
_REFUSED = 429
_PASSING = "closed WebSockets"


def delivered_to_all(target: Target, over: threading.Event) -> Measurement:
    """Have requests refused while clients come and go: each refusal must reach all who listen. Raises GaiaError."""
    watch, score = Watch(), Score()
    with counting(target) as counts:
        counts.known()
        rules = [counts.rule(f"upkeep-event-{number}", "requests_per_hour", 0) for number in range(_EVENTS)]
        refuse = {rule.id: partial(_refused, counts, rule) for rule in rules}
        heard = asyncio.run(_heard(target, refuse, over))
    if not any(heard):
        raise Inconclusive("no violation of these rules was received at all (the soak on the target judges that)")
    for rule in rules:
        missing = sum(rule.id not in each for each in heard)
        score.add(f"a violation reached {len(heard) - missing} of {len(heard)} clients" if missing else None)
    return watch.counted(DELIVERED, score, f"violations that reached {_LISTENERS} clients while others came and went")


def _refused(counts: Counting, rule: CountedRule) -> None:
    (reply,) = counts.send(rule, 1)
    if reply.status != _REFUSED:
        raise Inconclusive(f"a rule that refuses everything answered {reply.status} (qa.identity judges rules)")


async def _heard(target: Target, refuse: Mapping[int, Callable[[], None]], over: threading.Event) -> list[set[int]]:
    """Have requests refused one after the other; return the rules of the violations that each listener received."""
    passing = PassingClients(target, math.inf)
    (kind,) = (each for each in passing_clients.kinds(target, "") if each.name == _PASSING)
    heard = [set[int]() for _ in range(_LISTENERS)]
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(open_websocket.opened(target)) for _ in heard]
        listening = [asyncio.create_task(_listen(target, *each)) for each in zip(sockets, heard, strict=True)]
        coming = asyncio.create_task(passing.send(kind, _LISTENERS * 1000))
        for event in refuse.values():
            if over.is_set():
                raise Inconclusive("the gate was over before all violations were delivered")
            came, until_s = passing.answers.tried, time.monotonic() + _GROUP_WITHIN_S
            await asyncio.to_thread(event)
            await asyncio.sleep(_APART_S)
            while passing.answers.tried < came + AT_ONCE and time.monotonic() < until_s:  # noqa: ASYNC110 - many come
                await asyncio.sleep(_POLL_S)
        passing.deadline_s = 0.0
        await coming
        deadline_s = time.monotonic() + _WITHIN_S
        while not all(refuse.keys() <= each for each in heard) and time.monotonic() < deadline_s:  # noqa: ASYNC110 - many set it
            await asyncio.sleep(_POLL_S)
        for task in listening:
            task.cancel()
        results = await asyncio.gather(*listening, return_exceptions=True)
    for error in results:
        if isinstance(error, Exception):  # a message that cannot be read is not one that did not come
            raise error
    return heard


async def _listen(target: Target, socket: ClientConnection, heard: set[int]) -> None:
    """Add the rule of each violation, until the connection closes."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            received = json.loads(message(target, await socket.recv()))
            if received["type"] == "violation":
                heard.add(received["data"].get("rule_id"))
