"""The Analytics tab: its time span and its period."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from playwright.sync_api import Page, expect

from tests.gaia_server.conftest import Running, Start
from tests.gaia_server.dashboard.conftest import Visit, roomy


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


RECORD_TEXTS = """
    window.texts = [];
    const fill = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, x, ...more) {
        const start = this.textAlign === "right" ? x - this.measureText(text).width : x;
        window.texts.push({ text, start });
        return fill.call(this, text, x, ...more);
    };
"""


def _texts(page: Page) -> list[dict[str, Any]]:
    """Return the texts that were drawn on the axes since `RECORD_TEXTS`, each with the x of its start."""
    texts: list[dict[str, Any]] = page.evaluate("window.texts")
    return texts


def test_axes_of_a_busy_month(start: Start, schema: str, visit: Visit) -> None:
    """The columns add up to the total, labels of millions fit beside the chart, and no day lies in the future."""
    roomy(schema)
    with psycopg.connect(schema) as connection:
        connection.execute(
            "INSERT INTO rate_limit_stats (minute, scope, resource_type, admitted)"
            " SELECT date_trunc('minute', now()) - make_interval(mins => ago), 'ip', 'other', 70000000"
            " FROM (VALUES (43190), (20000), (1)) AS rows (ago)"
        )
    page = visit(start().base_url)
    page.add_init_script(RECORD_TEXTS)
    page.reload()
    page.locator("[data-tab=analytics]").click()
    panel = page.locator("#panel-analytics")
    panel.get_by_label("Time").select_option("43200")
    expect(panel.locator(".figure", has_text="Allowed")).to_contain_text(re.compile(r"210,000,\d{3}"))
    expect(panel.get_by_role("img", name=re.compile(r"Decisions: Allowed 210,000,\d{3}"))).to_be_visible()
    page.wait_for_function("window.texts.some(({ text }) => /^[1-9]0M$/.test(text))")
    drawn = _texts(page)
    assert [one for one in drawn if one["start"] < 0] == []
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert f"{tomorrow:%a} {tomorrow.day}" not in [one["text"] for one in drawn]
