"""Sending salvos when they are due, and keeping what comes of each request."""

import asyncio
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gaia_checks.recorders.base.sampling import Coverage, ticks, told_within
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.recorders.limits.burst_plan import Salvo
from gaia_checks.recorders.limits.header_checks import Told
from gaia_checks.recorders.limits.request import Door, Question

ADMITTED, REFUSED = 404, 429
"""What a request to nothing is answered."""

_EVERY_S = 0.2  # a second without a look at the clock was not looked at
_TELL_EVERY_S = 1.0
_AHEAD_S = 0.2  # so long before a salvo its connections are opened
_LEAVE_S = 0.5  # told to end, we wait so long for answers


@dataclass(frozen=True, slots=True)
class Seen:
    """One request, and what came of it."""

    purpose: str
    told: Told
    status: int | None  # None: no answer
    why: str  # there is none; empty when it was not waited for


class Asking:
    """All requests of one look."""

    def __init__(self, door: Door, keys: Mapping[str, str], told: asyncio.Event) -> None:
        """`keys` are the API keys by their purpose; `told` to end, no more is asked."""
        self._door = door
        self._keys = keys
        self._told = told
        self._asked: list[tuple[str, Question]] = []  # for which purpose
        self._began_s = 0.0

    async def everything(self, salvos: Iterable[Salvo], timeline: Timeline, window_s: float) -> float:
        """Send all; return how long was really looked, in seconds."""
        coverage, next_s = Coverage(_EVERY_S), 0.0
        self._began_s = _now()
        try:
            async with asyncio.TaskGroup() as group:
                for salvo in salvos:
                    group.create_task(self._send(salvo))
                async for t in ticks(_EVERY_S, window_s, self._told):
                    coverage.add(t)
                    if t >= next_s:
                        self._tell(t, timeline)
                        next_s = t + _TELL_EVERY_S
            await self._last_answers()
            self._tell(t, timeline)
        finally:
            for _, question in self._asked:
                question.close()
        return coverage.covered_s

    def seen(self) -> list[Seen]:
        """Return what came of all requests until now, in the order in which they were sent."""
        return sorted((_seen(*one) for one in self._asked), key=lambda one: one.told.sent_s)

    async def _send(self, salvo: Salvo) -> None:
        if await self._told_before(salvo.at_s - _AHEAD_S):
            return
        questions = await asyncio.gather(*(self._door.open(self._keys[purpose]) for purpose in salvo.keys))
        if await self._told_before(salvo.at_s):
            for question in questions:
                question.close()
            return
        for question in questions:
            question.send()
        self._asked += zip(salvo.keys, questions, strict=True)

    async def _told_before(self, at_s: float) -> bool:
        return await told_within(self._told, self._began_s + at_s - _now())

    async def _last_answers(self) -> None:
        """Wait for them: each comes, or fails, in its time."""
        waiting = [asyncio.create_task(question.wait()) for _, question in self._asked]
        if waiting:
            await asyncio.wait(waiting, timeout=_LEAVE_S if self._told.is_set() else None)

    def _tell(self, t_s: float, timeline: Timeline) -> None:
        outcomes = [one.told.admitted for one in self.seen()]
        asked, admitted, refused = len(outcomes), outcomes.count(True), outcomes.count(False)
        worst = f"{asked} asked, {admitted} admitted, {refused} refused"
        timeline.add(t_s, worst, asked=asked, admitted=admitted, refused=refused)


def _seen(purpose: str, question: Question) -> Seen:
    reply = question.reply
    if reply is None:
        return Seen(purpose, Told(question.sent_s, math.inf, None, {}), None, "")
    admitted = {ADMITTED: True, REFUSED: False}.get(reply.status or 0)
    received_s = math.inf if admitted is None else reply.received_s
    return Seen(purpose, Told(question.sent_s, received_s, admitted, reply.headers), reply.status, reply.why)


def _now() -> float:
    return asyncio.get_running_loop().time()
