"""The default engine: sends its part of a load inside gevent, one greenlet per request in flight."""

import gc
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gevent
from gevent.hub import Waiter
from gevent.pool import Group

from gaia_checks.errors import AdapterError
from gaia_checks.load.engines.gevent_client import GeventClient, NoReply
from gaia_checks.load.engines.gevent_timer import Alarm
from gaia_checks.load.plan.load_plan import LoadPlan
from gaia_checks.load.plan.request_mix import Expectations, limited, spread
from gaia_checks.load.results.generator_usage import GeneratorUsage
from gaia_checks.load.results.per_second import Arrival, Listener, SecondCounter

_TURN = 64  # number of overdue requests started before yielding


class ArrivalOutcome(NamedTuple):
    """The outcome of one arrival."""

    method: str
    label: str
    problem: str | None
    answered: bool
    limited: bool = False
    flood: bool = False
    length: int = 0  # of the response body, in bytes


Act = Callable[[int], ArrivalOutcome]
"""Performs one arrival, given its index. An exception is the generator's fault."""

OutcomeListener = Callable[[ArrivalOutcome, Arrival], None]
"""Receives every outcome."""


class Workers:
    """Greenlets that call `act`, each job in one of its own. They are reused: starting one costs more than counting."""

    def __init__(self, act: Callable[[int, float], None]) -> None:
        self._act = act
        self._group = Group()
        self._idle: list[Any] = []  # waiters, most recently used last
        self._over = False

    def start(self, job: tuple[int, float]) -> None:
        """Start a job in the next round of the event loop."""
        if self._idle:
            gevent.get_hub().loop.run_callback(self._idle.pop().switch, job)
        else:
            self._group.spawn(self._work, job)

    def join(self) -> None:
        """Wait for all jobs and end the greenlets."""
        self._over = True
        for waiter in self._idle:
            gevent.get_hub().loop.run_callback(waiter.switch, None)
        self._group.join()

    def kill(self) -> None:
        """Drop all jobs."""
        self._group.kill(block=False)

    def _work(self, job: tuple[int, float] | None) -> None:
        waiter: Any = Waiter()
        while job is not None:
            self._act(*job)
            if self._over:
                return
            self._idle.append(waiter)
            job = waiter.get()
            waiter.clear()


class Sender:
    """Sends the arrivals of a plan and reports each second to `listener`."""

    def __init__(self, client: GeventClient, act: Act, listener: Listener, on_outcome: OutcomeListener) -> None:
        """`client` owns the connections and counts retries."""
        self._client = client
        self._act = act
        self._listener = listener
        self._on_outcome = on_outcome
        self._tally = SecondCounter(0.0)
        self._usage = GeneratorUsage()
        self._under_way = Workers(self._send)
        self._started_s = 0.0
        self._untranslated: AdapterError | None = None

    def run(self, plan: LoadPlan, started_s: float) -> None:
        """Send every arrival that is due within the window and wait until all have finished.

        The schedule starts at `started_s` of the monotonic clock. Seconds are reported between two requests, so that
        reporting delays none. Raises AdapterError.
        """
        gc.collect()
        gc.freeze()  # keeps the garbage collector out of locust's own objects while measuring
        self._tally = SecondCounter(plan.window_s, plan.looks_s)
        with Alarm() as alarm:
            alarm.until(started_s)
            self._started_s, self._usage = started_s, GeneratorUsage()
            ticker = gevent.spawn(self._tick, plan.quiet_s())
            try:
                self._dispatch(plan, alarm)
                self._under_way.join()
                if self._untranslated:
                    raise self._untranslated
            finally:
                ticker.kill()
        if ticker.exception is not None:  # the seconds since were not reported, nor the generator monitored
            raise ticker.exception
        self._close_second(max(self._now_s(), plan.window_s), last=True)

    def interrupt(self) -> None:
        """Drop the requests in flight."""
        self._under_way.kill()

    def _dispatch(self, plan: LoadPlan, alarm: Alarm) -> None:
        for number, (index, due_s) in enumerate(plan.due()):
            if self._untranslated:
                raise self._untranslated
            alarm.until(self._started_s + due_s)
            self._tally.intend()
            self._under_way.start((index, due_s))
            if number % _TURN == 0:
                gevent.sleep(0)  # when behind schedule, the alarm never yields

    def _send(self, index: int, due_s: float) -> None:
        sent_s = self._now_s()
        self._tally.send(due_s, sent_s)
        try:
            outcome = self._act(index)
        except AdapterError as error:  # no answer can be judged: the load ends
            self._untranslated = error
            self._tally.break_down(due_s, str(error))
            return
        except (Exception, gevent.Timeout) as error:  # noqa: BLE001 - any other error is counted as the generator's
            self._tally.break_down(due_s, repr(error))
            return
        arrival = Arrival(
            due_s, sent_s, self._now_s(), outcome.problem, outcome.answered, outcome.limited,
            f"{outcome.method} {outcome.label}", outcome.flood,
        )  # fmt: skip
        self._tally.end(arrival)
        self._on_outcome(outcome, arrival)

    def _tick(self, quiet_s: float) -> None:
        with Alarm() as alarm:
            while True:
                alarm.until(self._started_s + int(self._now_s() - quiet_s) + 1 + quiet_s)
                self._close_second(self._now_s())

    def _close_second(self, now_s: float, *, last: bool = False) -> None:
        shares, retried = self._usage.shares(), self._client.retried
        self._listener(self._tally.close(int(now_s) - (not last), now_s, shares, retried=retried, last=last))

    def _now_s(self) -> float:
        return time.monotonic() - self._started_s


class MixAct:
    """Sends the requests of a plan's mix."""

    def __init__(self, plan: LoadPlan, client: GeventClient) -> None:
        """Render every kind of request once. Raises ValueError when there is no mix."""
        if plan.mix is None:
            raise ValueError("the class has nothing to send; give it a mix, or tasks")
        self._mix = plan.mix
        self._client = client
        self._expectations = Expectations(plan.mix.requests)
        self._labels = [request.label for request in plan.mix.requests]
        self._bytes = [client.render(r.method, r.path, r.body, r.headers) for r in plan.mix.requests]

    def __call__(self, index: int) -> ArrivalOutcome:
        """Send the request of one arrival."""
        number = self._mix.number(index)
        request = self._mix.requests[number]
        try:
            answer = self._mix.translated(number, self._client.send(request.method, self._bytes[number]))
        except NoReply as error:
            label = self._labels[number]
            problem = f"{request.method} {label}: {error}"
            return ArrivalOutcome(request.method, label, problem, answered=False, flood=request.flood)
        wrong, refused = self._expectations.problem(number, answer), limited(request, answer)
        return ArrivalOutcome(
            request.method, self._labels[number], wrong, True, refused, request.flood, len(answer.body)
        )


class TaskAct:
    """Runs the tasks of a locustfile in proportion to their weights."""

    def __init__(self, user: Any, tasks: Sequence[Callable[[Any], Any]]) -> None:
        """`tasks` contains a task of weight 3 three times, as in locust. Raises ValueError for a nested TaskSet."""
        if nested := [task for task in tasks if isinstance(task, type)]:
            raise ValueError(f"{nested[0].__name__}: an open-loop user cannot run a nested TaskSet; use @task methods")
        self._user = user
        self._tasks = tasks

    def __call__(self, index: int) -> ArrivalOutcome:
        """Run the task of one arrival."""
        task = self._tasks[spread(index, len(self._tasks))]
        try:
            task(self._user)
        except (NoReply, AssertionError) as error:
            return ArrivalOutcome(
                "TASK", task.__name__, f"{task.__name__}: {error}", answered=not isinstance(error, NoReply)
            )
        return ArrivalOutcome("TASK", task.__name__, None, answered=True)
