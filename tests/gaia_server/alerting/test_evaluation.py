"""The evaluation of alert rules by a real server process."""

import psycopg
from websockets.sync.client import connect

from tests.gaia_server.conftest import Start
from tests.gaia_server.storage.test_alert_history import bucket, refuse
from tests.gaia_server.test_live import receive

SLOW = """
    CREATE OR REPLACE FUNCTION rate_limit_used(
        of_key text, of_rule_id bigint, OUT used bigint, OUT resets_at timestamptz
    ) LANGUAGE sql AS 'SELECT 1::bigint, now() FROM pg_sleep(60)'
"""


def test_a_metric_that_cannot_be_measured_stops_no_other(schema: str, start: Start) -> None:
    """While measuring the slow metrics takes too long, the alerts of the others fire, and are pushed."""
    with psycopg.connect(schema, autocommit=True) as connection:
        connection.execute(SLOW)
        connection.execute("UPDATE rate_limit_alert_rules SET enabled = true WHERE name = 'limit_utilisation'")
        bucket(connection, "ip:192.0.2.7", 1, 1)
        server = start(RATE_LIMIT_ENABLED="false")
        with connect(server.websocket_url, additional_headers=server.bearer) as websocket:
            refuse(connection, 101)
            alert = receive(websocket, "alert", within_s=30)
    assert (alert["data"]["name"], alert["data"]["state"]) == ("violations_per_minute", "firing")
