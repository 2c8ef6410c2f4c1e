"""The options that the plug-in adds to locust's command line, and the load that they describe."""

import argparse
import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, NoReturn

import gevent
from locust import events
from locust.runners import MasterRunner, WorkerRunner

from gaia_checks.errors import ConfigurationError, Inconclusive
from gaia_checks.load.locust_plugin.master import Master, OnePerWorker
from gaia_checks.load.locust_plugin.workers import Alone, Worker
from gaia_checks.load.plan import arrival_schedule
from gaia_checks.load.plan.load_plan import LoadPlan
from gaia_checks.load.results import thresholds
from gaia_checks.load.results.collector import Collector
from gaia_checks.printable import printable

PARENT_S = 0.5
"""How often a process looks whether its parent still runs."""

_ARGPARSE_REFUSES = 2  # with this exit code
_LAST_RESORT_S = 60
_NO_RUN_TIME = "the load has no run time; add e.g. -t 60s"
_NO_HOST = "the load has no server; add e.g. --host http://127.0.0.1:8711"
_BY_HAND_S = 60.0  # of a load that is started in the web page without a run time


def register() -> None:
    """Add the options and the event listeners to locust."""
    hooks: Any = events
    hooks.init_command_line_parser.add_listener(_add)
    hooks.init.add_listener(_begin)
    hooks.test_start.add_listener(_take_window)


class _LastResort(int):
    """When locust stops a load that hangs. Locust's log shows the run time that was given: the load stops by itself."""

    def __format__(self, spec: str) -> str:
        return format(int(self) - _LAST_RESORT_S, spec)


def plan(options: Any, url: str | None, headers: dict[str, str]) -> LoadPlan:
    """Return the plan of the whole load, before it is split and without its mix. Raises ConfigurationError."""
    if not options.window_s:
        raise ConfigurationError(_NO_RUN_TIME)
    if not url:
        raise ConfigurationError(_NO_HOST)
    return LoadPlan(
        url, options.rate, options.window_s, options.looks_s, options.arrivals, options.seed, headers=headers
    )


def _add(parser: ArgumentParser) -> None:
    _refuse_as_we_do(parser)
    group = parser.add_argument_group("open loop")
    group.add_argument("--rate", type=_rate, default="10", help="requests per second of all workers together, sent "
                       "independently of the responses; steps 50x30s,100x30s; a ramp 10..200x1m,200")  # fmt: skip
    group.add_argument(
        "--arrivals", choices=arrival_schedule.ARRIVALS, default="constant", help="spacing of the requests"
    )
    group.add_argument(
        "--seed", type=int, default=0, help="seed of poisson arrivals: the same seed gives the same arrivals"
    )
    group.add_argument("--engine", choices=("locust", "precise"), default="locust",
                       help="precise: a separate process for high rates; sends a mix, runs no tasks")  # fmt: skip
    group.add_argument("--p99", type=thresholds.duration_ms, help="99%% of requests take less, e.g. 100ms: sets exit "
                       "code 0 (proven), 1 (disproven) or 8 (undecided, or the generator is unreliable)")  # fmt: skip
    group.add_argument(
        "--success", type=thresholds.share, help="share of requests that succeed, e.g. 99.95%%: sets the exit code, too"
    )
    group.add_argument("--folder", help="folder for the timeline, the histograms and the result")
    group.add_argument("--looks-s", type=_moments, default=(), help="also write the results of the requests due by "
                       "then while the load continues, e.g. 300,1470: load.1.json and so on")  # fmt: skip
    group.add_argument("--end-with-parent", action="store_true", help="exit when the parent process has exited")
    group.add_argument("--for-gate", action="store_true", help=argparse.SUPPRESS)  # pass the gate's key to workers
    group.add_argument("--window-s", type=float, default=0.0, help=argparse.SUPPRESS)  # for workers: -t of the master


def _refuse_as_we_do(parser: ArgumentParser) -> None:
    """Exit with the project's code for wrong usage when the command line is invalid, locust's own options included."""
    ends = parser.exit

    def end(status: int = 0, message: str | None = None) -> NoReturn:
        ends(ConfigurationError.exit_code if status == _ARGPARSE_REFUSES else status, message)

    parser.exit = end  # type: ignore[method-assign] # locust creates the parser


def _rate(text: str) -> str:
    try:
        arrival_schedule.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _moments(text: str) -> tuple[float, ...]:
    try:
        return tuple(sorted(float(part) for part in text.split(",") if part))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of seconds; write e.g. 300,1470") from None


def _begin(environment: Any, **_: Any) -> None:
    """Give this process its role in the load."""
    if len(environment.user_classes) != 1:
        names = ", ".join(sorted(user.__name__ for user in environment.user_classes))
        _refuse(f"exactly one class sends the load; name one of {names} at the end of the command line")
    environment.dispatcher_class = OnePerWorker
    options = environment.parsed_options
    environment.ends_with_parent = options.end_with_parent  # a worker's own: locust replaces options by the master's
    if options.headless and not isinstance(environment.runner, WorkerRunner):  # a worker learns both from the master
        if not options.run_time:
            _refuse(_NO_RUN_TIME)
        if not (environment.host or environment.user_classes[0].host):
            _refuse(_NO_HOST)
    limits = thresholds.Thresholds(options.p99, options.success)

    def collect(whole: LoadPlan) -> Collector:
        folder = Path(options.folder) if options.folder else None
        return Collector(whole, folder, limits, _log)

    if isinstance(environment.runner, WorkerRunner):
        environment.load_role = Worker(environment)
    elif isinstance(environment.runner, MasterRunner):
        Master(environment, collect)
        if environment.ends_with_parent:
            gevent.spawn(_end_with_parent, environment, os.getppid())
    else:
        environment.load_role = Alone(environment, collect)
    if options.run_time and (options.headless or options.autostart):
        # the load stops by itself: locust's stop delays requests, and its clock starts before its loop does
        options.window_s = float(options.run_time)
        options.run_time = _LastResort(options.run_time + _LAST_RESORT_S)


def _end_with_parent(environment: Any, parent: int) -> None:
    """Stop a master and its workers when the parent process has exited. A process that sends looks after itself."""
    while os.getppid() == parent:
        gevent.sleep(PARENT_S)
    environment.runner.quit()
    sys.exit(Inconclusive.exit_code)


def _take_window(environment: Any, **_: Any) -> None:
    """Take the run time from the web page, which provides it when the test is started; its default is empty."""
    options = environment.parsed_options
    by_hand = not options.headless and not options.autostart
    if by_hand and not isinstance(environment.runner, WorkerRunner):
        options.window_s = float(options.run_time or _BY_HAND_S)


def _log(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)  # noqa: T201 - locust's own log may be hidden


def _refuse(why: str) -> NoReturn:
    _log(why)
    sys.exit(ConfigurationError.exit_code)
