"""Evaluates the alert rules, the slow ones less often."""

import asyncio
import logging

from gaia_server.app_state import Server
from gaia_server.push.alerts import METRICS
from gaia_server.storage import alert_history

WATCH_S = 0.5
SLOW_EVERY = 10
"""The slow metrics are measured by one of so many evaluations."""

_FAST = [name for name, metric in METRICS.items() if not metric.slow]

log = logging.getLogger(__name__)


class Evaluator:
    """Evaluates the alert rules, and remembers when the slow ones are due."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._turn = 0
        self._one = asyncio.Lock()  # of two evaluations at a time the older one could replace what the newer one found

    async def evaluate(self) -> None:
        """Evaluate the rules that are due; each change becomes a stored message. Raises Unavailable."""
        async with self._one:
            await self._evaluate()

    async def _evaluate(self) -> None:
        server, watch = self._server, self._server.watch
        slow = self._turn % SLOW_EVERY == 0
        self._turn += 1  # slow ones that cannot be measured now stop none of the others
        found = await alert_history.evaluate(
            server.store,
            list(METRICS) if slow else _FAST,
            targets=len(server.settings.alert_urls),
            reputation=server.settings.reputation_enabled,
        )
        server.observed.violations_per_minute = found.violations
        server.observed.database = True
        watch.measured(found.values, slow=slow)
        watch.update(found.episodes)
        for alert in found.episodes:
            if alert.id in found.changed:
                log.warning(f"alert {alert.state}", extra={"alert": alert.name, "value": alert.to_json()["value"]})
