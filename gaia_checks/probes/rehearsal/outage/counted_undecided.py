"""Whether a request that the database did not decide in time is counted later, although its client was refused."""

import threading
from concurrent.futures import ThreadPoolExecutor

from gaia_checks.errors import Inconclusive
from gaia_checks.model import NOT_CHECKED, Measurement, Target
from gaia_checks.probes.rehearsal import locked_admissions
from gaia_checks.probes.rehearsal.counted_rules import CountedRule, Counting
from gaia_checks.probes.rehearsal.outage.outage_clients import UNDECIDED, OutageReply, send
from gaia_checks.target.client import client
from gaia_checks.target.responses import USAGE
from gaia_checks.target.samples import Watch

NAME = "outage.counted_undecided"

_REQUESTS, _LIMIT = 1, 60  # more would be decided one batch after the other, each as long
_ADMITTED = 1  # before: a list without this one shows nothing of the others
_CANCELLED_S = 0.5  # after the answers: a server may cancel its statement a moment later, the database after a second
_COUNTED_S = 0.5  # after the lock: what is decided then is counted
_LISTS = 20  # tries: 5 s after an outage lists are promised again
_TRIES = 2  # a machine that stands still may delay one cancellation


def measured(target: Target, over: threading.Event) -> Measurement:
    """Let requests wait for a lock until they are refused, and look what they consumed. Raises GaiaError."""
    watch, how = Watch(), "requests answered 503 while their counts were locked, and counted nevertheless"
    counted = _REQUESTS
    with client(target) as http:
        counting = Counting(http, target)
        rules = [counting.rule(f"outage-locked-{number}", "requests_per_hour", _LIMIT) for number in range(_TRIES)]
        for rule in rules:
            counting.send(rule, _ADMITTED)
        for rule in rules:
            statuses = {reply.status for reply in _while_locked(target, rule, over)}
            if statuses != {UNDECIDED}:
                why = f"requests that waited for a lock were answered {sorted(statuses)}, not {UNDECIDED}"
                return watch.measurement(NAME, 0, "count", 0, how, (f"{NOT_CHECKED}{why}",))
            _pause(over, _COUNTED_S)
            counted = min(counted, _used(counting, rule, over) - _ADMITTED)
            if not counted:
                break
    note = f"{counted} of {_REQUESTS} requests that were answered {UNDECIDED} were counted later"
    return watch.measurement(NAME, counted, "count", _REQUESTS, how, (note,) if counted else ())


def _used(counting: Counting, rule: CountedRule, over: threading.Event) -> int:
    """Return the listed usage, once the server lists again. Raises Inconclusive when it does not."""
    for _ in range(_LISTS):
        if (usage := counting.usage(rule)).status == 200:
            if usage.used is None or usage.used < _ADMITTED:
                raise Inconclusive(f"GET {USAGE} lists {usage.used} requests of {_ADMITTED} that were admitted before")
            return usage.used
        _pause(over, _COUNTED_S)
    raise Inconclusive(f"GET {USAGE} answered {usage.status} after the lock was released")


def _while_locked(target: Target, rule: CountedRule, over: threading.Event) -> list[OutageReply]:
    """Return the answers to requests whose counts are locked until some time after all of them.

    What still waits for the lock then has finished when this returns.
    """

    def one(_: int) -> OutageReply:
        with client(target) as http:
            return send(http, rule.key)

    with locked_admissions.locked(target) as lock, ThreadPoolExecutor(_REQUESTS) as pool:
        replies = list(pool.map(one, range(_REQUESTS)))
        _pause(over, _CANCELLED_S)
        waiting = lock.waiting()
        lock.release()
        for _ in range(_LISTS):
            if waiting.isdisjoint(lock.under_way()):
                break
            _pause(over, _COUNTED_S)
    return replies


def _pause(over: threading.Event, seconds: float) -> None:
    if over.wait(seconds):
        raise Inconclusive("the gate was over before the outages were")
