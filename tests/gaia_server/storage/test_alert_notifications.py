"""The queue of notifications on a real database."""

import asyncio

import psycopg

from gaia_server.storage import alert_history, alert_notifications
from gaia_server.storage.store import Store

METRICS = ["violations_per_minute"]


def test_nobody_hears_that_an_alert_fires_after_hearing_that_it_resolved(schema: str) -> None:
    """A first attempt that fails after the alert resolved is not repeated."""

    async def overtaken(store: Store, connection: psycopg.Connection) -> list[str]:
        await store.open()
        connection.execute("UPDATE rate_limit_alert_rules SET threshold = 0, clear_threshold = 0 WHERE id = 1")
        connection.execute(
            "INSERT INTO rate_limit_violations (rule_id, key, resource_type, occurred_at, last_at)"
            " VALUES (1, 'ip:192.0.2.7', 'other', date_trunc('second', now()), now())"
        )
        assert (await alert_history.evaluate(store, METRICS, targets=1)).changed
        under_way = await alert_notifications.take(store, 1)
        assert under_way
        assert under_way.alert["state"] == "firing"
        connection.execute("DELETE FROM rate_limit_violations")
        assert (await alert_history.evaluate(store, METRICS, targets=1)).changed
        await alert_notifications.failed(store, under_way, "no answer within 10 s")
        connection.execute(
            "UPDATE rate_limit_alert_notifications SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL"
        )
        states = []
        while taken := await alert_notifications.take(store, 1):
            states.append(taken.alert["state"])
            await alert_notifications.sent(store, taken)
        await store.close()
        return states

    with psycopg.connect(schema, autocommit=True) as connection:
        assert asyncio.run(overtaken(Store(schema), connection)) == ["resolved"]
