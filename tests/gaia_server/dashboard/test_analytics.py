"""The Analytics tab: its time span and its period."""

import re

from playwright.sync_api import expect

from tests.gaia_server.conftest import Running
from tests.gaia_server.dashboard.conftest import Visit


def test_time_and_period_are_chosen(server: Running, visit: Visit) -> None:
    """Each time span has a default period, which can be changed; the numbers are the server's."""
    page = visit(server.base_url)
    page.locator("[data-tab=analytics]").click()
    panel = page.locator("#panel-analytics")
    expect(panel.get_by_label("Summed up")).to_have_value("minute")
    for span, periods in (("1440", ["hour", "minute"]), ("10080", ["hour", "day"]), ("43200", ["day", "hour"])):
        panel.get_by_label("Time").select_option(span)
        expect(panel.get_by_label("Summed up")).to_have_value(periods[0])
        for period in periods:
            with page.expect_response(re.compile(rf"minutes={span}&per={period}$")) as response:
                panel.get_by_label("Summed up").select_option(period)
                panel.get_by_label("Summed up").dispatch_event("change")
            assert response.value.status == 200
            expect(panel.get_by_role("img", name=re.compile(r"Allowed \d+, Denied [1-9]")).first).to_be_visible()
    expect(panel.get_by_role("table", name="Rules that denied most")).to_contain_text(re.compile(r"\d\.\d\d %"))
