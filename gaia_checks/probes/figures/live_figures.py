"""What the live WebSocket and the metrics report of known traffic."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from gaia_checks.errors import Inconclusive
from gaia_checks.model import Target
from gaia_checks.probes.figures.known_traffic import Known, KnownRule, sent_in
from gaia_checks.target import prometheus_text
from gaia_checks.target.client import message
from gaia_checks.target.prometheus_text import Exposition
from gaia_checks.target.responses import CONFIG, METRICS, wrong_list

_PATIENCE_S = 7.0  # stats come every 5 s
UPTIME = "gaia_uptime_seconds"
_SAME_UPTIME_S = 3.0
_TRIES = 4
DECISIONS = "gaia_rate_limit_decisions_total"
_OF_RULE = "gaia_rate_limit_rule_decisions_total"
_REQUESTS = "gaia_http_requests_total"
_ALERT = "violations_per_minute"
_ALERT_IS = {"threshold": 100, "window_s": 60}
_COMPARED = ("uptime_s", "requests", "violations_last_minute", "rules", "websocket_clients")
_UNDER_WAY = 1.5  # decided requests for one that is finished

Sample = str | None


@dataclass
class Live:
    """The messages of one connection: the first stats, those after the traffic, and all violations."""

    target: Target
    connection: ClientConnection
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    violations: list[dict[str, Any]] = field(default_factory=list)
    _received_s: float = 0.0

    def first(self) -> None:
        """Wait for the first stats, sent at once. Raises Inconclusive without."""
        self.before = self._stats(time.monotonic() + _PATIENCE_S)

    def not_in_stats(self) -> Iterator[str]:
        """Yield what is compared and is not in the first stats."""
        yield from (f"{name} in stats" for name in _COMPARED if name not in self.before)

    def last(self) -> None:
        """Wait for the first stats that were sent after this call. Raises Inconclusive without."""
        deadline, self.after = time.monotonic() + _PATIENCE_S, self.before
        uptime_s = self.before["uptime_s"] + time.monotonic() - self._received_s
        while self.after["uptime_s"] < uptime_s:
            self.after = self._stats(deadline)

    @property
    def pushed(self) -> int:
        """The refusals that were pushed, of all rules."""
        return sum(violation["hits"] for violation in self.violations)

    def _stats(self, deadline: float) -> dict[str, Any]:
        while True:
            try:
                frame = message(self.target, self.connection.recv(timeout=max(0.0, deadline - time.monotonic())))
            except (TimeoutError, ConnectionClosed) as error:
                raise Inconclusive(f"no stats from the WebSocket within {_PATIENCE_S:g} s: {error!r}") from error
            received = json.loads(frame)
            if received["type"] == "violation":
                self.violations.append(received["data"])
            elif received["type"] == "stats":
                self._received_s = time.monotonic()
                return dict(received["data"])


@dataclass(frozen=True)
class Scraped:
    """One answer of /metrics, and when it came."""

    metrics: Exposition
    at_s: float  # on the monotonic clock
    of_several: bool = False  # any of several instances may have answered, which may have started together

    def is_of_process(self, before: "Scraped") -> bool:
        """Whether the process that answered before has surely answered again: by its uptime."""
        if self.of_several or not self.metrics.total(UPTIME, {}):
            return False
        grown_s = self.metrics.increase(before.metrics, UPTIME, {})
        return abs(grown_s - (self.at_s - before.at_s)) <= _SAME_UPTIME_S


def websocket(known: Known, live: Live, enabled_before: int | None, metrics: Scraped) -> Iterator[Sample]:
    """Yield the fault of each figure of the stats, and of the violations that were pushed.

    Each server process counts its own requests: they are compared where the uptime in `metrics`, read on the requests'
    connection, shows that one process has served both.
    """
    sent, refused = sent_in(known), sum(rule.hits for rule in known.refusing)
    moved = live.after["requests"] - live.before["requests"]
    apart_s = abs(metrics.metrics.total(UPTIME, {}) - live.after["uptime_s"])
    one = apart_s < _SAME_UPTIME_S and not metrics.of_several
    yield None if moved >= sent or not one else f"stats: requests rose by {moved}, {sent} were sent"
    yield settled(live, lambda: _wrong_minute(live, refused))
    yield settled(live, lambda: None if live.after["websocket_clients"] >= 1 else "stats: websocket_clients is 0")
    for rule in known.refusing:
        yield settled(live, partial(_wrong_pushed, live, rule))
    yield _rules(known, live, enabled_before)
    yield settled(live, lambda: _watched(live, refused))


def settled(live: Live, look: Callable[[], Sample]) -> Sample:
    """Look again after the next stats when something is wrong: a server may sum up its figures every second."""
    wrong = look()
    if wrong is None:
        return None
    with contextlib.suppress(Inconclusive):
        live.last()
        wrong = look()
    return wrong


def _wrong_minute(live: Live, refused: int) -> Sample:
    minute = live.after["violations_last_minute"]
    return None if minute >= refused else f"stats: violations_last_minute is {minute}, {refused} were refused"


def _wrong_pushed(live: Live, rule: KnownRule) -> Sample:
    pushed = [each for each in live.violations if each.get("rule_id") == rule.id]
    hits, keys = sum(each["hits"] for each in pushed), {each["key"] for each in pushed}
    right = (hits, keys) == (rule.hits, {rule.counted_key})
    return None if right else f"violation messages of {rule.name}: {hits} hits of {keys}, instead of {rule.hits}"


def _rules(known: Known, live: Live, enabled_before: int | None) -> Sample:
    """Compare with the rules enabled before and after; again when it is wrong, as others create and delete rules."""
    wrong: Sample = None
    for attempt in range(_TRIES):
        if attempt:
            enabled_before = enabled_rules(known)
            live.last()
        enabled_after, reported = enabled_rules(known), live.after["rules"]
        if enabled_before is None or enabled_after is None:
            wrong = f"stats: rules is {reported}, and GET {CONFIG}?enabled=true lists no rules to compare it with"
            continue
        if min(enabled_before, enabled_after) <= reported <= max(enabled_before, enabled_after):
            return None
        wrong = f"stats: rules is {reported}, {max(enabled_before, enabled_after)} are enabled"
    return wrong


def _watched(live: Live, refused: int) -> Sample:
    """Compare the alert of the stats with the contract's; None where they list no such alert."""
    alerts = live.after.get("alerts")
    watched = alerts.get("watched") if isinstance(alerts, dict) else None
    for alert in watched if isinstance(watched, list) else []:
        if isinstance(alert, dict) and alert.get("name") == _ALERT:
            found = tuple(alert.get(name) for name in _ALERT_IS)
            if found != tuple(_ALERT_IS.values()):
                return f"stats: {_ALERT} has {dict(zip(_ALERT_IS, found, strict=True))}, should be {_ALERT_IS}"
            if not isinstance(value := alert.get("value"), int | float) or value < refused:
                return f"stats: the value of {_ALERT} is {value!r}, {refused} were refused"
    return None


def enabled_rules(known: Known) -> int | None:
    """Return how many rules the API lists as enabled; None where it lists none, which `lists` judges."""
    answer = known.get(CONFIG, enabled="true", limit=1)
    return int(answer.body["total"]) if wrong_list(answer, 1) is None else None


def scraped(known: Known) -> Scraped:
    """Read the metrics; empty where they cannot be read, which prod.monitoring judges."""
    text = known.get(METRICS).text
    try:
        found = prometheus_text.read(text)
    except ValueError:
        found = Exposition()
    return Scraped(found, time.monotonic(), known.of_several)


def denied(before: Scraped, after: Scraped) -> float:
    """Return how many requests the metrics count as denied between two scrapes."""
    return after.metrics.increase(before.metrics, DECISIONS, {"decision": "denied"})


def once_each(before: Scraped, after: Scraped) -> Iterator[Sample]:
    """Yield the fault if one process counts decisions that belong to no request; some requests are always under way."""
    if not after.is_of_process(before) or not after.metrics.total(_REQUESTS, {}):
        return
    decisions = denied(before, after) + after.metrics.increase(before.metrics, DECISIONS, {"decision": "admitted"})
    requests = after.metrics.increase(before.metrics, _REQUESTS, {})
    right = decisions <= _UNDER_WAY * max(requests, 0)
    yield None if right else f"{DECISIONS} rose by {decisions:g}, {_REQUESTS} by {requests:g}"


def kept(rules: list[KnownRule], earlier: Scraped, later: Scraped) -> Iterator[Sample]:
    """Yield the fault of each rule of which one process has fewer decisions after another rule was removed."""
    for rule in rules if later.is_of_process(earlier) else ():
        labels = {"rule_id": str(rule.id)}
        was, now = earlier.metrics.total(_OF_RULE, labels), later.metrics.total(_OF_RULE, labels)
        right = now >= was
        yield None if right else f"{_OF_RULE} of {rule.name} went from {was:g} to {now:g} when another rule was removed"


def counters(earlier: Scraped, later: Scraped) -> Iterator[Sample]:
    """Yield the fault of each counter that went back, if the same process has answered: each counts for itself."""
    if not later.is_of_process(earlier):
        return
    before, after = earlier.metrics, later.metrics
    for name, series in before.samples.items():
        if "counter" not in (before.types.get(name), before.types.get(name.removesuffix("_total"))):
            continue
        for sample in series:
            labels = ",".join(f"{label}={value}" for label, value in sample.labels.items())
            for now in after.samples.get(name, ()):  # the series of a deleted rule has stopped
                if now.labels == sample.labels:
                    right = now.value >= sample.value
                    yield None if right else f"{name}{{{labels}}} went from {sample.value:g} back to {now.value:g}"
