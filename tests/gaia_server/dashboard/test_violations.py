"""The Violations tab: its time range, its pause and its filters."""

import csv
import re
from datetime import UTC, datetime, timedelta

import psycopg
from playwright.sync_api import expect

from tests.gaia_server.conftest import Running, Start
from tests.gaia_server.dashboard.conftest import Visit, connected, flood, roomy


def test_a_range_of_time_is_chosen(server: Running, visit: Visit) -> None:
    """From and to narrow the table, each may be empty, and a reload keeps them."""
    rule = server.rule(scope="session", limit_value=1, enabled=False)
    day = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    with psycopg.connect(server.dsn) as connection:
        connection.execute(
            "INSERT INTO rate_limit_violations (rule_id, key, resource_type, occurred_at, last_at)"
            " SELECT %s, 'session:' || to_char(at, 'HH24MI'), 'other', at, at"
            " FROM generate_series(%s::timestamptz, %s::timestamptz, interval '1 hour') AS at",
            (rule["id"], f"{day}T10:00Z", f"{day}T12:00Z"),
        )
    page = visit(server.base_url)
    page.locator("[data-tab=violations]").click()
    panel = page.locator("#panel-violations")
    rows = panel.get_by_role("row").filter(has_text=re.compile(r"session:1[012]00"))
    expect(panel.get_by_label("From")).to_be_hidden()
    panel.get_by_label("Time").select_option("range")
    panel.get_by_label("To", exact=True).fill(f"{day}T11:30:00")
    expect(rows).to_have_count(2)
    panel.get_by_label("From").fill(f"{day}T10:30:00")
    expect(rows).to_have_count(1)
    page.reload()
    expect(rows).to_have_count(1)
    expect(panel.get_by_label("From")).to_have_value(re.compile(f"{day}T10:30"))


def test_the_table_can_be_paused(schema: str, start: Start, visit: Visit) -> None:
    """A paused table stays as it is, and says that there is more; it continues when the pause ends."""
    roomy(schema)
    own = start()
    flood(own, 2, "before")
    page = visit(own.base_url)
    connected(page)
    page.locator("[data-tab=violations]").click()
    panel = page.locator("#panel-violations")
    pause, more = panel.get_by_role("button", name="Pause"), panel.get_by_role("button", name="Show newer violations")
    expect(panel.get_by_text("api_key:before")).to_be_visible()
    pause.click()
    flood(own, 2, "after")
    expect(more).to_be_visible()
    expect(panel.get_by_text("api_key:after")).to_have_count(0)
    pause.click()
    expect(panel.get_by_text("api_key:after")).to_be_visible()
    expect(more).to_be_hidden()


def test_times_are_shown_in_the_chosen_zone(server: Running, visit: Visit) -> None:
    """Times are local until UTC is chosen, which a reload keeps; fields of time follow."""
    rule = server.rule(scope="user", limit_value=1, enabled=False)
    day = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    with psycopg.connect(server.dsn) as connection:
        connection.execute(
            "INSERT INTO rate_limit_violations (rule_id, key, resource_type, occurred_at, last_at)"
            " VALUES (%s, 'user:zoned', 'other', %s, %s)",
            (rule["id"], f"{day}T08:00Z", f"{day}T08:00Z"),
        )
    page = visit(server.base_url, zone="Asia/Kolkata")
    page.locator("[data-tab=violations]").click()
    panel = page.locator("#panel-violations")
    row = panel.get_by_role("row").filter(has_text="user:zoned")
    panel.get_by_label("Key", exact=True).fill("user:zoned")
    panel.get_by_label("Key", exact=True).press("Enter")
    expect(row).to_contain_text("13:30:00")
    page.get_by_label("Times in").select_option("UTC")
    expect(row).to_contain_text("08:00:00")
    page.reload()
    expect(row).to_contain_text("08:00:00")
    panel.get_by_label("Time").select_option("range")
    panel.get_by_label("From").fill(f"{day}T07:59:00")
    panel.get_by_label("To", exact=True).fill(f"{day}T08:01:00")
    expect(panel.get_by_role("row")).to_have_count(2)
    expect(row).to_be_visible()


def test_what_is_filtered_is_exported(server: Running, visit: Visit) -> None:
    """The file has every row of the filter, of all its pages, and no other."""
    rule = server.rule(scope="user", limit_value=1, enabled=False)
    with psycopg.connect(server.dsn) as connection:
        connection.execute(
            "INSERT INTO rate_limit_violations (rule_id, key, resource_type, occurred_at, last_at, hits)"
            " SELECT %s, 'user:\"exported\",' || (m %% 2), 'other', at, at, m"
            " FROM (SELECT m, now() - make_interval(mins => m) AS at FROM generate_series(100, 599) AS m) AS times",
            (rule["id"],),
        )
    page = visit(server.base_url)
    page.locator("[data-tab=violations]").click()
    panel = page.locator("#panel-violations")
    panel.get_by_label("Key", exact=True).fill('user:"exported",1')
    panel.get_by_label("Key", exact=True).press("Enter")
    expect(panel.get_by_text("1–25 of 250")).to_be_visible()
    with page.expect_download() as download:
        panel.get_by_role("button", name="Export CSV").click()
    assert download.value.suggested_filename == "violations.csv"
    with download.value.path().open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["denied"]) for row in rows] == list(range(101, 600, 2))
    assert {row["key"] for row in rows} == {'user:"exported",1'}


def test_denials_are_grouped_by_client(server: Running, visit: Visit) -> None:
    """Grouped, each client is one row with its sum, the filter applies, and a client leads to its denials."""
    rules = [server.rule(scope="session", limit_value=1, enabled=False)["id"] for _ in range(2)]
    with psycopg.connect(server.dsn) as connection:
        connection.execute(
            "INSERT INTO rate_limit_violations (rule_id, key, resource_type, occurred_at, last_at, hits)"
            " SELECT %s, 'session:' || name, 'other', at, at, hits"
            " FROM (VALUES ('few', 1, 2), ('many', 2, 40), ('many', 3, 5), ('old', 9000, 90)) AS v (name, ago, hits),"
            " LATERAL (SELECT now() - make_interval(secs => ago) AS at) AS times",
            (rules[0],),
        )
        connection.execute(
            "INSERT INTO rate_limit_violations (rule_id, key, resource_type, occurred_at, last_at)"
            " VALUES (%s, 'session:many', 'other', now(), now())",
            (rules[1],),
        )
    page = visit(server.base_url)
    page.locator("[data-tab=violations]").click()
    panel = page.locator("#panel-violations")
    panel.get_by_label("Kind of key").select_option("session")
    panel.get_by_label("Time").select_option("3600")
    panel.get_by_label("Group").select_option("client")
    rows = panel.get_by_role("table", name="Denied clients").locator("tbody tr")
    expect(rows).to_have_text([re.compile("session:many462"), re.compile("session:few21")])
    panel.get_by_role("button", name="Denied", exact=True).click()
    expect(rows).to_have_text([re.compile("session:few"), re.compile("session:many")])
    with page.expect_download() as download:
        panel.get_by_role("button", name="Export CSV").click()
    with download.value.path().open(newline="") as file:
        assert [(row["key"], row["denied"], row["rules"]) for row in csv.DictReader(file)] == [
            ("session:few", "2", "1"),
            ("session:many", "46", "2"),
        ]
    page.reload()
    expect(rows).to_have_count(2)
    rows.get_by_role("link", name="session:many").click()
    expect(panel.get_by_role("table", name="Denied requests").locator("tbody tr")).to_have_count(3)
    page.go_back()
    expect(rows).to_have_count(2)


def test_denials_are_sorted_by_a_column(server: Running, visit: Visit) -> None:
    """The whole list is sorted, not the page that is shown."""
    rule = server.rule(scope="user", limit_value=1, enabled=False)
    with psycopg.connect(server.dsn) as connection:
        connection.execute(
            "INSERT INTO rate_limit_violations (rule_id, key, resource_type, occurred_at, last_at, hits)"
            " SELECT %s, 'user:hits' || n, 'other', now() - make_interval(hours => n), now(), 100 + n"
            " FROM generate_series(1, 60) AS n",
            (rule["id"],),
        )
    page = visit(f"{server.base_url}")
    page.goto(f"{server.base_url}/admin/quotas#violations?rule={rule['id']}")
    panel = page.locator("#panel-violations")
    expect(panel.get_by_text("1–25 of 60")).to_be_visible()
    first = panel.get_by_role("table", name="Denied requests").locator("tbody tr").first
    expect(first).to_contain_text("user:hits1")
    panel.get_by_role("button", name="Denied", exact=True).click()
    expect(first).to_contain_text("101")
    panel.get_by_role("button", name="Denied", exact=True).click()
    expect(first).to_contain_text("160")
    panel.get_by_role("button", name="When", exact=True).click()
    expect(first).to_contain_text("user:hits60")
