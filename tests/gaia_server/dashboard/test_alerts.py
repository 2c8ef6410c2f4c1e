"""The Alerts tab: firing alerts, watched rules, and the stored history."""

import psycopg
from playwright.sync_api import expect

from tests.gaia_server.conftest import Running
from tests.gaia_server.dashboard.conftest import Visit


def test_history_outlives_the_process(server: Running, visit: Visit) -> None:
    """A past alert of another process is in the history with its duration."""
    with psycopg.connect(server.dsn) as connection:
        connection.execute(
            "INSERT INTO rate_limit_alerts"
            " (name, severity, says, threshold, value, fired_at, resolved_value, resolved_at) VALUES"
            " ('violations_per_minute', 'warning', 'long ago', 100, 321, now() - interval '3 days', 7,"
            " now() - interval '3 days' + interval '150 seconds')"
        )
    page = visit(f"{server.base_url}")
    page.locator("[data-tab=alerts]").click()
    row = page.get_by_role("table", name="History").get_by_role("row", name="long ago")
    expect(row).to_contain_text("321, above 100")
    expect(row).to_contain_text("2 min 30 s")
    expect(page.get_by_role("table", name="Watched")).to_contain_text("more than 100 requests were refused")
