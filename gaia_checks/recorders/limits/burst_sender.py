"""Sends bursts when they are due, and keeps the outcome of each request."""

import asyncio
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gaia_checks.recorders.base.sampling import Coverage, stopped_within, ticks
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.recorders.limits.burst_plan import Burst
from gaia_checks.recorders.limits.header_checks import AnsweredRequest
from gaia_checks.recorders.limits.request import Endpoint, PendingRequest

ADMITTED, REFUSED = 404, 429
"""The answers to a request for a path that does not exist."""

_EVERY_S = 0.2  # five missed intervals in a row count as not observed
_RECORD_EVERY_S = 1.0
_AHEAD_S = 0.2  # how long before a burst its connections are opened
_LEAVE_S = 0.5  # how long to wait for answers after a stop


@dataclass(frozen=True, slots=True)
class RequestOutcome:
    """One request and its outcome."""

    purpose: str
    exchange: AnsweredRequest
    status: int | None  # None: no answer
    why: str  # the reason for no answer; empty when the answer was not awaited


class BurstSender:
    """Sends all requests of one recording."""

    def __init__(self, endpoint: Endpoint, keys: Mapping[str, str], stop: asyncio.Event) -> None:
        """`keys` are the API keys by their purpose; once `stop` is set, nothing more is sent."""
        self._endpoint = endpoint
        self._keys = keys
        self._stop = stop
        self._sent: list[tuple[str, PendingRequest]] = []  # for which purpose
        self._began_s = 0.0

    async def send_all(self, bursts: Iterable[Burst], timeline: Timeline, window_s: float) -> float:
        """Send all bursts; return the observed time in seconds."""
        coverage, next_s = Coverage(_EVERY_S), 0.0
        self._began_s = _now()
        try:
            async with asyncio.TaskGroup() as group:
                for burst in bursts:
                    group.create_task(self._send(burst))
                async for t in ticks(_EVERY_S, window_s, self._stop):
                    coverage.add(t)
                    if t >= next_s:
                        self._record(t, timeline)
                        next_s = t + _RECORD_EVERY_S
            await self._last_answers()
            self._record(t, timeline)
        finally:
            for _, pending_request in self._sent:
                pending_request.close()
        return coverage.covered_s

    def outcomes(self) -> list[RequestOutcome]:
        """Return the outcomes of all requests so far, in the order in which they were sent."""
        return sorted((_outcome(*one) for one in self._sent), key=lambda one: one.exchange.sent_s)

    async def _send(self, burst: Burst) -> None:
        if await self._stopped_before(burst.at_s - _AHEAD_S):
            return
        pending = await asyncio.gather(*(self._endpoint.open(self._keys[purpose]) for purpose in burst.keys))
        if await self._stopped_before(burst.at_s):
            for pending_request in pending:
                pending_request.close()
            return
        for pending_request in pending:
            pending_request.send()
        self._sent += zip(burst.keys, pending, strict=True)

    async def _stopped_before(self, at_s: float) -> bool:
        return await stopped_within(self._stop, self._began_s + at_s - _now())

    async def _last_answers(self) -> None:
        """Wait for the pending answers: each arrives or fails within its time limit."""
        waiting = [asyncio.create_task(pending_request.wait()) for _, pending_request in self._sent]
        if waiting:
            await asyncio.wait(waiting, timeout=_LEAVE_S if self._stop.is_set() else None)

    def _record(self, t_s: float, timeline: Timeline) -> None:
        outcomes = [one.exchange.admitted for one in self.outcomes()]
        sent, admitted, refused = len(outcomes), outcomes.count(True), outcomes.count(False)
        worst = f"{sent} sent, {admitted} admitted, {refused} refused"
        timeline.add(t_s, worst, requests=sent, admitted=admitted, refused=refused)


def _outcome(purpose: str, pending_request: PendingRequest) -> RequestOutcome:
    reply = pending_request.reply
    if reply is None:
        return RequestOutcome(purpose, AnsweredRequest(pending_request.sent_s, math.inf, None, {}), None, "")
    admitted = {ADMITTED: True, REFUSED: False}.get(reply.status or 0)
    received_s = math.inf if admitted is None else reply.received_s
    return RequestOutcome(
        purpose, AnsweredRequest(pending_request.sent_s, received_s, admitted, reply.headers), reply.status, reply.why
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
