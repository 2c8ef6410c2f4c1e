"""The evaluation of alert rules by a real server process."""

import psycopg

from tests.gaia_server.conftest import Start, poll
from tests.gaia_server.storage.test_alert_history import bucket, refuse

SLOW = """
    CREATE OR REPLACE FUNCTION rate_limit_used(
        of_key text, of_rule_id bigint, OUT used bigint, OUT resets_at timestamptz
    ) LANGUAGE sql AS 'SELECT 1::bigint, now() FROM pg_sleep(60)'
"""


def test_a_metric_that_cannot_be_measured_stops_no_other(schema: str, start: Start) -> None:
    """While measuring the slow metrics takes too long, the alerts of the others fire."""
    with psycopg.connect(schema, autocommit=True) as connection:
        connection.execute(SLOW)
        connection.execute("UPDATE rate_limit_alert_rules SET enabled = true WHERE name = 'limit_utilisation'")
        bucket(connection, "ip:192.0.2.7", 1, 1)
        server = start(RATE_LIMIT_ENABLED="false")
        refuse(connection, 101)
    alerts = poll(lambda: server.get(f"{server.home}/alerts").json()["items"])
    assert [alert["name"] for alert in alerts] == ["violations_per_minute"]
