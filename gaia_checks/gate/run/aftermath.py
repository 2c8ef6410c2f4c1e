"""The state in which a gate leaves its target: after all looks, its health, admin API and WebSocket once more.

Looks that are safe on a live system break nothing. What a gate did break is part of its verdict, and is not left for
the next user of the server to find.
"""

import time
from collections.abc import Callable, Iterable, Mapping

import httpx

from gaia_checks.gate.run.look import FAILED, Gate
from gaia_checks.judge.criteria_file import Looks
from gaia_checks.judge.judgement import outcome_name
from gaia_checks.model import NOT_CHECKED, Criterion, Log, Measurement, Target
from gaia_checks.probes import health, websocket
from gaia_checks.target import health_body, rules
from gaia_checks.target.client import client
from gaia_checks.target.responses import CONFIG, Answer, wrong_status
from gaia_checks.target.samples import Watch

_HOW = "one more client after all looks"
_TRIES, _AGAIN_S = 3, 1.0

Wrong = Callable[[Target, Looks], str | None]
"""Return what is wrong with the target, None for nothing."""


class _Refused(Exception):
    """Why the gate could not look."""


def look(gate: Gate, target: Target, promised: Iterable[Criterion], log: Log) -> None:
    """Look at the target once more; not for a criterion that was not tested or has failed, or in a gate stopped early.

    The WebSocket takes as long as its next heartbeat.
    """
    if target.silent:
        return
    outcomes = {each.name: str(each.value) for each in gate.measured()}
    tested = [each for each in promised if not outcomes.get(outcome_name(each.id), FAILED).startswith(FAILED)]
    for name in [check.measurement for each in tested for check in each.checks if check.measurement in _WRONG]:
        stopped = gate.stopped_early
        measured = _without_samples(Watch(), name, stopped) if stopped else measure(name, target, gate.criteria.looks)
        gate.record(measured)
        if measured.n and not measured.value:
            log(gate.environment.redact(f"the target is not as before the gate: {measured.notes[0]}"))


def measure(name: str, target: Target, looks: Looks) -> Measurement:
    """Measure `gate.health_after`, `gate.api_after` or `gate.websocket_after`."""
    watch = Watch()
    try:
        wrong = _lasting(lambda: _WRONG[name](target, looks))
    except Exception as error:  # noqa: BLE001 - no answer of the server may prevent the end of the gate
        return _without_samples(watch, name, f"{NOT_CHECKED}{error or type(error).__name__}")
    return watch.measurement(name, wrong is None, "bool", 1, _HOW, (wrong,) if wrong else ())


def _lasting(look: Callable[[], str | None]) -> str | None:
    """Return what stays wrong: what a gate broke stays broken, and a busy machine may delay one answer."""
    for attempt in range(_TRIES):
        time.sleep(_AGAIN_S if attempt else 0)
        try:
            wrong = look()
        except httpx.TransportError as error:
            wrong = f"no answer: {type(error).__name__} {error}".rstrip()
        if wrong is None:
            return None
    return wrong


def _without_samples(watch: Watch, name: str, why: str) -> Measurement:
    return watch.measurement(name, False, "bool", 0, _HOW, (why,))


def _health(target: Target, _: Looks) -> str | None:
    with client(target, keyed=False) as http:
        return health.wrong_with(http.get(health_body.PATH, headers=health.NO_CACHE))


def _api(target: Target, _: Looks) -> str | None:
    with client(target, keyed=False) as http:
        answer = rules.send(http, "GET", CONFIG, params={"limit": 1})
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise _Refused(f"GET {CONFIG}: the server's own limits refuse the gate")
    return wrong_status(Answer(f"GET {CONFIG}", answer.status_code), 200)


def _websocket(target: Target, looks: Looks) -> str | None:
    return websocket.not_pushed(target, **looks["websocket"])


_WRONG: Mapping[str, Wrong] = {
    "gate.health_after": _health,
    "gate.api_after": _api,
    "gate.websocket_after": _websocket,
}
"""Measurement -> how it is made."""
