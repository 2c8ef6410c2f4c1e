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
    texts = [one["text"] for one in drawn]
    assert any(re.fullmatch(r"\d+ [A-Z][a-z]+", text) for text in texts)
    assert f"{tomorrow.day} {tomorrow:%b}" not in texts


def _counted(schema: str, *rows: tuple[str, int]) -> None:
    """Store admitted requests at times, given as SQL."""
    with psycopg.connect(schema) as connection:
        for at, admitted in rows:
            connection.execute(
                "INSERT INTO rate_limit_stats (minute, scope, resource_type, admitted)"
                f" VALUES (date_trunc('minute', {at}), 'ip', 'other', %s)",
                (admitted,),
            )


def test_90_days_say_what_there_is_no_data_of(start: Start, schema: str, visit: Visit) -> None:
    """Three months are one light page of days, and say when the statistics begin."""
    roomy(schema)
    _counted(schema, ("now() - interval '40 days'", 7000), ("now() - interval '1 day'", 500))
    page = visit(start().base_url)
    page.locator("[data-tab=analytics]").click()
    panel = page.locator("#panel-analytics")
    with page.expect_response(re.compile(r"minutes=129600&per=day$")) as response:
        panel.get_by_label("Time").select_option("129600")
    assert len(response.value.body()) < 20_000
    expect(panel.locator(".figure", has_text="Allowed")).to_contain_text(re.compile(r"7,5\d\d"))
    begins = datetime.now(UTC) - timedelta(days=40)
    expect(panel.get_by_text(f"There are no statistics before {begins.day} {begins:%b}")).to_be_visible()
    panel.get_by_label("Time").select_option("60")
    expect(panel.get_by_text("There are no statistics before")).to_be_hidden()


def test_a_drag_zooms_and_the_back_button_returns(start: Start, schema: str, visit: Visit) -> None:
    """A part of the chart becomes the range, of which all figures are; it can be typed as well."""
    roomy(schema)
    _counted(schema, ("now() - interval '50 minutes'", 111_000), ("now() - interval '30 minutes'", 222_000))
    page = visit(start().base_url)
    page.locator("[data-tab=analytics]").click()
    panel = page.locator("#panel-analytics")
    allowed = panel.locator(".figure", has_text="Allowed")
    expect(allowed).to_contain_text(re.compile(r"333,\d{3}"))
    box = panel.locator(".u-over").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 2, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 60, steps=4)
    page.mouse.up()
    expect(allowed).to_contain_text("111,000")
    expect(panel.get_by_label("Time")).to_have_value("range")
    expect(page).to_have_url(re.compile(r"#analytics\?time=range&from=\d{4}-\d\d-\d\dT"))
    page.reload()
    expect(allowed).to_contain_text("111,000")
    page.go_back()
    expect(allowed).to_contain_text(re.compile(r"333,\d{3}"))
    panel.get_by_label("Time").select_option("range")
    now = datetime.now(UTC)
    panel.get_by_label("From").fill(f"{now - timedelta(minutes=40):%Y-%m-%dT%H:%M:00}")
    panel.get_by_label("To", exact=True).fill(f"{now - timedelta(minutes=20):%Y-%m-%dT%H:%M:00}")
    expect(allowed).to_contain_text("222,000")


def test_the_period_before_is_compared(start: Start, schema: str, visit: Visit) -> None:
    """Each figure shows its value in the same length of time before, and the change."""
    roomy(schema)
    _counted(schema, ("now() - interval '90 minutes'", 200_000), ("now() - interval '30 minutes'", 300_000))
    page = visit(start().base_url)
    page.locator("[data-tab=analytics]").click()
    panel = page.locator("#panel-analytics")
    panel.get_by_role("button", name="Compare").click()
    expect(panel.locator(".figure", has_text="Allowed")).to_contain_text("before 200,000, +50")
    page.reload()
    expect(panel.locator(".figure", has_text="Allowed")).to_contain_text("before 200,000, +50")
    panel.get_by_role("button", name="Compare").click()
    expect(panel.get_by_text("before 200,000")).to_have_count(0)


def test_a_rule_and_a_client_lead_to_their_denials(server: Running, visit: Visit) -> None:
    """From the tables of the rules and clients that were denied most, Violations opens with their filter."""
    page = visit(server.base_url)
    violations = page.locator("#panel-violations").get_by_role("table", name="Denied requests").locator("tbody tr")
    for table in ("Rules that denied most", "Clients denied most"):
        page.locator("[data-tab=analytics]").click()
        row = page.get_by_role("table", name=table).get_by_role("link").first
        name = row.inner_text()
        row.click()
        expect(violations.first).to_contain_text(name)
        page.go_back()
