"""The precise engine: sends its part of a load from a separate process, over uvloop, without locust.

`python -m gaia_checks.load.engines.uvloop_engine` writes `ready` to standard output, reads one JSON line,
`{"plan": ..., "started_s": ...}`, from standard input, and then writes every second as one JSON line
(`Second.to_json`), or `{"broken": reason}` as the last. It exits when its input closes, because its parent has exited.
"""

import asyncio
import gc
import json
import os
import sys
import time
from collections import deque
from typing import Any

import uvloop

from gaia_checks.errors import AdapterError
from gaia_checks.load.engines.timerfd import Timer
from gaia_checks.load.engines.uvloop_connections import ConnectionPool, ExchangeInFlight, resolve
from gaia_checks.load.http import request_bytes
from gaia_checks.load.http.response_parser import HttpResponse
from gaia_checks.load.plan.load_plan import LoadPlan
from gaia_checks.load.plan.request_mix import Expectations, limited
from gaia_checks.load.results.generator_usage import GeneratorUsage
from gaia_checks.load.results.per_second import REPLY_LIMIT_S, Arrival, Listener, SecondCounter

_APART_S = 0.0001  # minimum time between wake-ups: requests due in between leave together, at most this late
_SWEEP_S = 0.02  # interval of the search for requests past their time limit
_TURN = 32  # number of overdue requests sent before responses are read


class Engine:
    """Sends the arrivals of a plan and reports each second to `listener`."""

    def __init__(self, plan: LoadPlan, started_s: float, listener: Listener) -> None:
        """The schedule starts at `started_s` of the monotonic clock. Raises ValueError when there is no mix."""
        if plan.mix is None:
            raise ValueError("the class has nothing to send; give it a mix")
        mix = plan.mix
        self._plan = plan
        self._started_s = started_s
        self._listener = listener
        self._due = plan.due()
        self._next: tuple[int, float] | None = next(self._due, None)
        self._tally = SecondCounter(plan.window_s, plan.looks_s)
        self._mix = mix
        self._names = [f"{request.method} {request.label}" for request in mix.requests]
        common, prefix = request_bytes.common_headers(plan.url, plan.headers), request_bytes.prefix(plan.url)
        self._bytes = [
            request_bytes.render(r.method, prefix + r.path, request_bytes.merged(common, r.headers), r.body)
            for r in mix.requests
        ]
        self._expectations = Expectations(mix.requests)
        self._under_way: deque[ExchangeInFlight] = deque()
        self._unfinished = 0
        self._timer = Timer.create()
        self._usage = GeneratorUsage()
        self._pool: ConnectionPool
        self._over = asyncio.Event()
        self._untranslated: AdapterError | None = None

    async def run(self) -> None:
        """Send everything and wait until all has finished.

        Raises OSError when the host's name is unknown, and AdapterError.
        """
        address, port, tls, host = await resolve(self._plan.url)
        self._pool = ConnectionPool(self, address, port, tls, host)
        gc.collect()
        gc.freeze()
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            loop.add_reader(self._timer.fileno(), self._wake)
        self._arm()
        watching = [asyncio.create_task(self._tick()), asyncio.create_task(self._sweep())]
        await self._over.wait()
        for task in watching:
            task.cancel()
        if self._untranslated:
            raise self._untranslated
        self._close_second(max(self._now_s(), self._plan.window_s), last=True)
        if self._timer is not None:
            loop.remove_reader(self._timer.fileno())
            self._timer.close()
        await self._pool.close()

    # sending

    def _wake(self) -> None:
        if self._timer is not None:
            self._timer.clear()
        for _ in range(_TURN):
            if self._next is None or self._next[1] > self._now_s():
                break
            self._send(*self._next)
            self._next = next(self._due, None)
        self._arm()

    def _arm(self) -> None:
        if self._next is None:
            self._end()
            return
        moment_s = max(self._started_s + self._next[1], time.monotonic() + _APART_S)
        if self._timer is not None:
            self._timer.arm(moment_s)
        else:
            asyncio.get_running_loop().call_later(moment_s - time.monotonic(), self._wake)

    def _send(self, index: int, due_s: float) -> None:
        number, sent_s = self._mix.number(index), self._now_s()
        self._tally.intend()
        self._tally.send(due_s, sent_s)
        exchange = ExchangeInFlight(number, due_s, sent_s)
        self._under_way.append(exchange)
        self._unfinished += 1
        self._pool.send(exchange, self._mix.requests[number].method, self._bytes[number])

    # outcomes

    def answered(self, exchange: ExchangeInFlight, answer: HttpResponse) -> None:
        """Count a complete response."""
        try:
            answer = self._mix.translated(exchange.number, answer)
        except AdapterError as error:  # no answer can be judged: the load ends
            self._untranslated = error
            self._over.set()
            return
        wrong = self._expectations.problem(exchange.number, answer)
        refused = limited(self._mix.requests[exchange.number], answer)
        self._count(exchange, wrong, answered=True, limited=refused)

    def failed(self, exchange: ExchangeInFlight, why: str) -> None:
        """Count a request that the server did not answer."""
        self._count(exchange, f"{self._names[exchange.number]}: {why}", answered=False)

    def broken(self, exchange: ExchangeInFlight, why: str) -> None:
        """Count a request that a fault of the generator prevented from being sent."""
        self._tally.break_down(exchange.due_s, why)
        self._close(exchange)

    def _count(self, exchange: ExchangeInFlight, wrong: str | None, *, answered: bool, limited: bool = False) -> None:
        number = exchange.number
        request, finished_s = self._mix.requests[number], self._now_s()
        due_s, sent_s, name = exchange.due_s, exchange.sent_s, self._names[number]
        self._tally.end(Arrival(due_s, sent_s, finished_s, wrong, answered, limited, name, request.flood))
        self._close(exchange)

    def _close(self, exchange: ExchangeInFlight) -> None:
        exchange.over = True
        self._unfinished -= 1
        under_way = self._under_way
        while under_way and under_way[0].over:
            under_way.popleft()
        if self._next is None:
            self._end()

    def _end(self) -> None:
        if not self._unfinished:
            self._over.set()

    # time

    async def _sweep(self) -> None:
        """Fail requests past their time limit; those in flight are in the order in which they were sent."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            limit_s = self._now_s() - REPLY_LIMIT_S
            while self._under_way and self._under_way[0].sent_s <= limit_s:
                exchange = self._under_way[0]
                if exchange.connection is not None:
                    exchange.connection.close()
                self.failed(exchange, f"no reply within {REPLY_LIMIT_S:g} s")

    async def _tick(self) -> None:
        quiet_s = self._plan.quiet_s()
        while True:
            await asyncio.sleep(int(self._now_s() - quiet_s) + 1 + quiet_s - self._now_s())
            self._close_second(self._now_s())

    def _close_second(self, now_s: float, *, last: bool = False) -> None:
        shares, retried = self._usage.shares(), self._pool.retried
        self._listener(self._tally.close(int(now_s) - (not last), now_s, shares, retried=retried, last=last))

    def _now_s(self) -> float:
        return time.monotonic() - self._started_s


async def main() -> None:
    """Run one process of a load."""
    _write("ready")
    job: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    plan = LoadPlan.from_json(job["plan"])
    asyncio.get_running_loop().add_reader(0, _end_with_reader)
    try:
        await Engine(plan, job["started_s"], lambda second: _write(json.dumps(second.to_json()))).run()
    except AdapterError as error:
        _write(json.dumps({"broken": str(error)}))


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _end_with_reader() -> None:
    if not os.read(0, 4096):
        os._exit(1)


if __name__ == "__main__":
    uvloop.run(main())
