"""Sends the notifications of alerts."""

import logging

from gaia_server.app_state import Server
from gaia_server.storage import alert_notifications

NOTIFY_S = 1.0

log = logging.getLogger(__name__)


async def notify(server: Server, target: int) -> None:
    """Send the notifications of a target, a number of ALERT_URLS, that are due, one after the other.

    Raises Unavailable. Each target has a task of its own: one that does not answer delays no other.
    """
    from gaia_server.alerting import webhook  # noqa: PLC0415 - only a server that notifies somebody needs it

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
