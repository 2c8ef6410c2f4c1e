"""The open-loop engine inside locust: every intended request leaves at its time, whatever the server does.

    class Readers(OpenLoopUser):
        mix = Mix([Request("GET", "/health")])

    locust -f readers.py --headless --rate 100 -t 60s --host http://127.0.0.1:8711

Locust brings its command line, statistics and life cycle. The sending is ours: its own users wait for an answer
before they ask again, so a stall of the server silently lowers the rate and hides its own latency.

The locust process must not import `gaia_checks.environment`, so the two variables that hold secrets are read here:
GAIA_API_KEY and GAIA_ADMIN_TOKEN go into the headers of every request and never onto a command line.
"""

import gc
import logging
import os
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from gevent.pool import Group
from locust import User, events
from locust.env import Environment
from locust.exception import StopUser

from gaia_checks.load import schedule
from gaia_checks.load.http import Client, NoReply, Reply
from gaia_checks.load.mix import Mix, Request, problem
from gaia_checks.load.recording import Recording
from gaia_checks.load.resources import Usage
from gaia_checks.load.tally import REPLY_LIMIT_S, Arrival, Tally
from gaia_checks.load.timing import Alarm

_logger = logging.getLogger(__name__)

_CLEAN_UP_S = 2.0
_LAST_RESORT_S = 60
_TURN = 64  # so many overdue requests are started before others get the processor


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator] # locust gives it no types
def _add_options(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("open loop")
    group.add_argument("--rate", type=float, default=10.0, help="requests per second, sent whatever the server does")
    group.add_argument("--arrivals", choices=schedule.ARRIVALS, default="constant", help="how requests are spaced")
    group.add_argument("--folder", type=Path, help="where the timeline, the histograms and the result are written")


@events.init.add_listener  # type: ignore[untyped-decorator] # locust gives it no types
def _end_after_us(environment: Environment, **_: Any) -> None:
    """Take -t as our window and let locust end later: its stopping takes 20 ms, in which requests would be late."""
    options = environment.parsed_options
    if options is not None and options.run_time:
        options.window_s = float(options.run_time)
        options.run_time += _LAST_RESORT_S


def _offer(user: "OpenLoopUser") -> None:
    """Do all that there is to do, once: locust calls a task again and again, also one that failed."""
    try:
        user.offer()
    except Exception:
        user.environment.process_exit_code = 1
        _logger.exception("no load was offered")
    finally:
        gevent.spawn(user.environment.runner.quit)
    raise StopUser


class OpenLoopUser(User):
    """All the traffic of one process. Subclasses give the `mix`, as an attribute or in `prepare`."""

    abstract = True
    fixed_count = 1  # --rate sets the rate; more users would only multiply it
    tasks = [_offer]  # noqa: RUF012 - locust's metaclass reads it from here
    mix: Mix
    client: Client
    key: str | None  # what the target counts our requests under

    def prepare(self) -> None:
        """Create in the target what the mix needs. A subclass that does so removes it in `clean_up`."""

    def clean_up(self) -> None:
        """Remove what `prepare` created, also when that failed half-way. It has two seconds."""

    def offer(self) -> None:
        """Offer the whole load and return when the last answer has come."""
        options: Any = self.environment.parsed_options
        if not options.run_time:
            raise ValueError("how long the load lasts is missing; add e.g. -t 60s")
        engine = Engine(self, options.window_s, options.folder)
        self.environment.events.quitting.add_listener(lambda **_: engine.interrupt())
        self.environment.events.test_stopping.add_listener(lambda **_: engine.over.wait())
        self.key = os.environ.get("GAIA_API_KEY")
        try:
            self.client = Client(str(self.host), self._headers(), REPLY_LIMIT_S)
            self.prepare()
            engine.run(schedule.ARRIVALS[options.arrivals](options.rate, 0), tick_at_s=0.5 / options.rate)
        except Exception as error:
            engine.give_up(str(error) or repr(error))
            raise
        finally:
            try:
                with gevent.Timeout(_CLEAN_UP_S, False):
                    self.clean_up()
            finally:
                engine.over.set()

    def exchange(self, method: str, path: str, body: dict[str, Any] | None = None) -> Reply:
        """Send a request that is not part of the load. Raises NoReply."""
        return self.client.exchange(method, path, body)

    def _headers(self) -> dict[str, str]:
        token = os.environ.get("GAIA_ADMIN_TOKEN")
        headers = {"X-API-Key": self.key} if self.key else {}
        return {**headers, "Authorization": f"Bearer {token}"} if token else headers


class Engine:
    """Sends the arrivals of a schedule and keeps count of them. Seconds are counted from its start."""

    def __init__(self, user: OpenLoopUser, window_s: float, folder: Path | None) -> None:
        """Without a folder only locust's own statistics are kept."""
        self.over = Event()
        self._user = user
        self._window_s = window_s
        self._recording = Recording(folder) if folder else None
        self._parent = os.getppid()
        self._tally = Tally(window_s)
        self._usage = Usage()
        self._under_way = Group()
        self._started_s = 0.0

    def run(self, due_s: Iterator[float], *, tick_at_s: float) -> None:
        """Send every arrival that is due within the window, wait for their ends, write the result.

        A second's counts are written `tick_at_s` after it is over: between two requests, so that none waits for it.
        """
        gc.collect()
        gc.freeze()  # what locust and its libraries hold need not be searched for garbage while we measure
        arrivals = schedule.until(schedule.part(due_s, 0, 1), self._window_s)
        with Alarm() as alarm:
            self._started_s, self._usage = time.monotonic(), Usage()
            ticker = gevent.spawn(self._tick, tick_at_s)
            try:
                self._dispatch(arrivals, alarm)
                self._under_way.join()
            finally:
                ticker.kill()
        self._close_second(max(self._now_s(), self._window_s))
        if self._recording:
            self._recording.finish({**self._tally.result(), "retried": self._user.client.retried})

    def interrupt(self) -> None:
        """End now: what is under way is dropped, and no result is written."""
        self._under_way.kill(block=False)
        if self._user.greenlet is not None:
            self._user.greenlet.kill(block=False)

    def give_up(self, reason: str) -> None:
        """Write down why there is no result."""
        if self._recording:
            self._recording.finish({"broken": reason})

    def _dispatch(self, arrivals: Iterator[tuple[int, float]], alarm: Alarm) -> None:
        for index, due_s in arrivals:
            alarm.until(self._started_s + due_s)
            self._tally.intend()
            self._under_way.spawn(self._send, index, due_s)
            if index % _TURN == 0:
                gevent.sleep(0)  # when we are behind, nothing above has let the requests go

    def _send(self, index: int, due_s: float) -> None:
        request, begun_s, reply, wrong = self._user.mix.choose(index), self._now_s(), None, None
        self._tally.send(due_s, begun_s)
        try:
            reply = self._user.client.exchange(request.method, request.path, request.body)
        except NoReply as error:
            wrong = f"{request.method} {request.label}: {error}"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is ours, and is counted as that
            self._tally.break_down(due_s, f"{request.method} {request.label}: {error!r}")
            return
        ended_s = self._now_s()
        if reply is not None:
            wrong = problem(request, reply.status, reply.body)
        limited = reply is not None and reply.status == 429
        if reply is not None and limited:
            wrong = f"{wrong}, by the limit {reply.headers.get('ratelimit', 'that it does not name')}"
        arrival = Arrival(due_s, begun_s, ended_s, wrong, answered=reply is not None, limited=limited)
        self._tally.end(arrival)
        self._tell_locust(request, arrival, len(reply.body) if reply else 0)

    def _tell_locust(self, request: Request, arrival: Arrival, length: int) -> None:
        self._user.environment.events.request.fire(
            request_type=request.method,
            name=request.label,
            response_time=arrival.latency_s * 1000,
            response_length=length,
            exception=RuntimeError(arrival.problem) if arrival.problem else None,
            context={},
        )

    def _tick(self, tick_at_s: float) -> None:
        with Alarm() as alarm:
            while True:
                alarm.until(self._started_s + int(self._now_s() - tick_at_s) + 1 + tick_at_s)
                self._close_second(self._now_s())
                if os.getppid() != self._parent and self._recording:
                    self.interrupt()  # nobody is left to read what we measure

    def _close_second(self, now_s: float) -> None:
        record, interval = self._tally.second(now_s, self._usage.shares())
        if self._recording:
            self._recording.second(now_s, record, interval)

    def _now_s(self) -> float:
        return time.monotonic() - self._started_s
