"""Open-loop load as a locust user: every request leaves at its scheduled time, whatever the server does.

    class Readers(OpenLoopUser):
        mix = Mix([Request("GET", "/health")])

    locust -f readers.py --headless --rate 100 -t 60s --host http://127.0.0.1:8711 --p99 100ms --success 99.95%

Locust provides the command line, workers, statistics, web page and life cycle; this package sends the requests.
Locust's own users wait for a response before they send again, so a stall of the server silently lowers the rate and
hides latency.

The locust process must not import `gaia_checks.environment`, so its variables are read here: GAIA_API_KEY
and GAIA_ADMIN_TOKEN, which go into the headers of every request and never onto a command line, and GAIA_NAMES, which
maps the contract's names to the server's (`target_names`). Locustfiles use the contract's names. A gate's workers get
key and names from its master; GAIA_TARGET, where it is set, comes before the address that it names.
"""

import logging
import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

import gevent
from gevent.event import Event
from locust import User, events
from locust.exception import StopUser

from gaia_checks import contract
from gaia_checks.contract import inline_translator
from gaia_checks.contract.adapter import HttpRequest
from gaia_checks.errors import GaiaError
from gaia_checks.load.engines.gevent_client import GeventClient, NoReply
from gaia_checks.load.engines.gevent_engine import Act, ArrivalOutcome, MixAct, Sender, TaskAct
from gaia_checks.load.engines.uvloop_process import EngineProcess
from gaia_checks.load.http.response_parser import HttpResponse
from gaia_checks.load.locust_plugin import options, target_names, workers
from gaia_checks.load.plan import arrival_schedule
from gaia_checks.load.plan.load_plan import LoadPlan
from gaia_checks.load.plan.request_mix import Mix, Request, decoded
from gaia_checks.load.results.per_second import REPLY_LIMIT_S, Arrival
from gaia_checks.model import Names

_logger = logging.getLogger(__name__)

_CLEAN_UP_S = 2.0

options.register()


def _pass_on(environment: Any, **_: Any) -> None:
    """Give the workers of a gate's load, with the options, its key and the server's names: no secrets."""
    if environment.parsed_options.for_gate:
        environment.parsed_options.gate = {
            "key": os.environ.get("GAIA_API_KEY"),
            "names": target_names.for_workers(),
        }


hooks: Any = events
hooks.init.add_listener(_pass_on)


def _offer(user: "OpenLoopUser") -> None:
    """Send the load once: locust would call a task repeatedly, also one that failed."""
    try:
        user.offer()
    except (NoReply, OSError, GaiaError) as error:  # where it was raised helps nobody
        _report(user, error, None)
    except Exception as error:  # noqa: BLE001 - of a locustfile: where it was raised does help
        _report(user, error, error.__traceback__)
    raise StopUser


def _report(user: "OpenLoopUser", error: Exception, where: TracebackType | None) -> None:
    """Log why the load was not sent, and show it on the web page."""
    shown = (type(error), error, where) if where else None
    _logger.error("the load was not sent: %s", error, exc_info=shown)
    user.environment.events.user_error.fire(user_instance=user, exception=error, tb=where)


class OpenLoopUser(User):
    """Sends all the traffic of one process. Subclasses define the `mix`, as an attribute or in `prepare`, or tasks.

    A task (locust's `@task`) runs once per arrival and counts as one request, from when it was due to its end.
    `NoReply` and AssertionError in it are failures of the server, any other exception is an error of the generator.
    """

    abstract = True
    tasks = [_offer]  # noqa: RUF012 - locust's metaclass reads it from here
    own_tasks: Sequence[Any] = ()
    mix: Mix | None = None
    client: GeventClient
    key: str  # the API key by which the target counts the requests
    own_key: bool  # whether the key was generated, so that no rule covers it
    worker: int  # unique among the processes of this load
    rate_per_s: float  # the highest rate of this process

    def __init_subclass__(cls) -> None:
        """Store a subclass's own tasks, and leave locust the one task that sends the load."""
        cls.own_tasks = [task for task in cls.tasks if task is not _offer]
        cls.tasks = [_offer]

    def prepare(self) -> None:
        """Create in the target what the mix needs. A subclass that does so removes it in `clean_up`."""

    def clean_up(self) -> None:
        """Remove what `prepare` created, also after it failed half-way. Limited to two seconds."""

    def offer(self) -> None:
        """Send this process's part of the load and return after the last response."""
        role = workers.role_of(self.environment)
        chosen: Any = self.environment.parsed_options
        gate = getattr(chosen, "gate", {})  # what a gate's master passes on to its workers
        key = gate.get("key") or os.environ.get("GAIA_API_KEY")
        self.worker, self.own_key = role.worker, not key
        self.key = key or f"client-{secrets.token_hex(6)}-{self.worker}"
        self.rate_per_s = arrival_schedule.parse(chosen.rate).peak_per_s / role.workers
        self._names = target_names.of_worker(gate.get("names"))
        self._over, self._ends_s, self._engine = Event(), float("inf"), None
        role.user = self
        watcher, preparing = gevent.spawn(self._watch_parent, os.getppid()), False
        try:
            plan = options.plan(chosen, os.environ.get("GAIA_TARGET") or self.host, self._headers())
            self.client = GeventClient(plan.url, plan.headers, REPLY_LIMIT_S)
            preparing = True
            self.prepare()
            plan = replace(plan, mix=None if self.own_tasks else self.mix and self.mix.under(self._names))
            self._engine = self._choose(plan, role.second)
            part, started_s = role.meet(plan)
            self._ends_s = started_s + part.window_s
            self._engine.run(part, started_s)
        except Exception as error:
            role.broken(str(error) or repr(error))
            raise
        finally:
            watcher.kill(block=False)
            try:
                with gevent.Timeout(_CLEAN_UP_S, False):
                    if preparing:
                        self.clean_up()
            finally:
                role.user = None
                self._over.set()
                role.over()

    def exchange(self, method: str, path: str, body: dict[str, Any] | None = None) -> HttpResponse:
        """Send one request and return the complete response. Raises NoReply."""
        names = self._names
        theirs = contract.outgoing(names, HttpRequest(method, path, body=body), inline_translator.running)
        reply = self.client.exchange(theirs.method, theirs.path, theirs.body)
        try:
            reply = reply._replace(body=contract.our_text(names, decoded(reply)))
        except ValueError as error:
            raise NoReply(f"{method} {path}: {error}") from None
        return Mix([Request(method, path, ours=f"{method} {path}")], Names(adapter=names.adapter)).translated(0, reply)

    def far_above_rate(self) -> int:
        """Return a limit per second that this process never reaches."""
        return int(self.rate_per_s * 10) + 10

    def cut_short(self) -> None:
        """Stop now: drop the requests in flight and produce no result."""
        if self._engine is not None:
            self._engine.interrupt()
        if self.greenlet is not None:
            self.greenlet.kill(block=False)

    def wind_up(self) -> None:
        """Wait for the last responses if everything was sent; else stop now."""
        if time.monotonic() < self._ends_s - options.PARENT_S:
            self.cut_short()
        self._over.wait()

    def _choose(self, plan: LoadPlan, listener: Any) -> Sender | EngineProcess:
        if self.environment.parsed_options.engine == "precise":
            if self.own_tasks:
                names = ", ".join(task.__name__ for task in self.own_tasks)
                raise ValueError(
                    f"the precise engine sends a mix and runs no Python, but {type(self).__name__} has tasks of its "
                    f"own ({names}); give it a mix, or omit --engine precise"
                )
            return EngineProcess(listener, self.environment)
        act: Act = TaskAct(self, self.own_tasks) if self.own_tasks else MixAct(plan, self.client)
        return Sender(self.client, act, listener, self._fire_request_event)

    def _fire_request_event(self, outcome: ArrivalOutcome, arrival: Arrival) -> None:
        self.environment.events.request.fire(
            request_type=outcome.method,
            name=outcome.label,
            response_time=arrival.latency_s * 1000,
            response_length=outcome.length,
            exception=RuntimeError(arrival.problem) if arrival.problem else None,
            context={},
        )

    def _headers(self) -> dict[str, str]:
        token = os.environ.get("GAIA_ADMIN_TOKEN")
        own = {"X-API-Key": self.key, **({"Authorization": f"Bearer {token}"} if token else {})}
        return dict(
            contract.outgoing(self._names, HttpRequest("GET", "/health", own), inline_translator.running).headers
        )

    def _watch_parent(self, parent: int) -> None:
        """Stop when the parent process has exited."""
        while not self.environment.ends_with_parent or os.getppid() == parent:
            gevent.sleep(options.PARENT_S)
        self.cut_short()
