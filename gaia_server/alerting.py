"""Alerting: measures this process, evaluates the alert rules, and sends the notifications."""

import logging
import os
import time
from collections import deque

from gaia_server.app_state import Server
from gaia_server.metrics import resident_bytes
from gaia_server.push.alerts import METRICS, Episode
from gaia_server.storage import alert_history, alert_notifications

WATCH_S = 0.5
SLOW_EVERY = 10
"""The slow metrics are measured by one of so many evaluations."""

MEASURE_S = 2.0
NOTIFY_S = 1.0
WINDOW_S = 60.0
"""How long requests and errors are counted for the error rate."""

_FAST = [name for name, metric in METRICS.items() if not metric.slow]

log = logging.getLogger(__name__)


class Evaluator:
    """Evaluates the alert rules, and remembers when the slow ones are due."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._turn = 0

    async def evaluate(self) -> list[Episode]:
        """Evaluate the rules that are due; return the alerts that changed, whichever process changed them.

        Raises Unavailable.
        """
        server, watch = self._server, self._server.watch
        slow = self._turn % SLOW_EVERY == 0
        found = await alert_history.evaluate(
            server.store,
            list(METRICS) if slow else _FAST,
            known=watch.open,
            targets=len(server.settings.alert_urls),
            reputation=server.settings.reputation_enabled,
        )
        self._turn += 1
        server.observed.violations_per_minute = found.violations
        server.observed.database = True
        watch.measured(found.values, slow=slow)
        changes = watch.update(found.episodes)
        for alert in changes:
            if alert.id in found.changed:
                log.warning(f"alert {alert.state}", extra={"alert": alert.name, "value": alert.to_json()["value"]})
        return changes


class Measurer:
    """Stores what this process measures of itself, for the rules of all processes."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._counts: deque[tuple[float, int, int]] = deque([(time.monotonic(), 0, 0)])

    async def write(self) -> None:
        """Replace this process's row. Raises Unavailable."""
        server, now = self._server, time.monotonic()
        self._counts.append((now, server.requests, server.errors))
        while now - self._counts[1][0] >= WINDOW_S:
            self._counts.popleft()
        _, requests, errors = self._counts[0]
        use = server.store.pool_use
        await server.store.put_measurement(
            {
                "instance": server.instance,
                "memory_bytes": resident_bytes(),
                "pool_in_use": use.in_use,
                "pool_max": use.maximum,
                "load_percent": round(100 * os.getloadavg()[0] / (os.cpu_count() or 1)),
                "requests": server.requests - requests,
                "errors": server.errors - errors,
            }
        )


async def notify(server: Server, target: int) -> None:
    """Send the notifications of a target, a number of ALERT_URLS, that are due, one after the other.

    Raises Unavailable. Each target has a task of its own: one that does not answer delays no other.
    """
    from gaia_server import webhook  # noqa: PLC0415 - only a server that notifies somebody needs it

    url, failures = server.settings.alert_urls[target - 1], server.observed.notification_failures
    while taken := await alert_notifications.take(server.store, target):
        failure = await webhook.post(url, webhook.message(taken.alert))
        if failure is None:
            failures.pop(target, None)
            await alert_notifications.sent(server.store, taken)
            continue
        failures[target] = failure
        given_up = await alert_notifications.failed(server.store, taken, failure)
        log.warning(
            "an alert's notification was given up" if given_up else "an alert's notification failed",
            extra={"alert": taken.alert["name"], "target": target, "cause": failure, "attempt": taken.attempts},
        )
