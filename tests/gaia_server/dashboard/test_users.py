"""The Users tab: users by their most used limit, and one user's limits and reputation."""

import csv
import re
from typing import Any, LiteralString

import psycopg
from playwright.sync_api import expect

from tests.gaia_server.conftest import Start
from tests.gaia_server.dashboard.conftest import Visit, connected, roomy
from tests.support import plain_http


def test_a_users_limits_and_reputation_are_set(schema: str, start: Start, visit: Visit) -> None:
    """A user is listed, gets a limit and a score, and errors are shown beside their form."""
    roomy(schema)
    own = start(TRUSTED_PROXIES="127.0.0.1", REPUTATION_ENABLED="true")
    own.rule(scope="user", limit_type="daily_quota", limit_value=8)
    for _ in range(4):
        assert plain_http.get(f"{own.base_url}/api/x", headers={"X-User-ID": "a/b.c"}).status_code == 404
    page = visit(own.base_url)
    connected(page)
    page.locator("[data-tab=users]").click()
    page.get_by_role("button", name="Open a/b.c").click()
    form = page.locator("#user")
    expect(form.get_by_role("table", name="Limits that apply")).to_contain_text("8 per day")
    form.get_by_label("Per hour").fill("-1")
    form.get_by_role("button", name="Save limits").click()
    expect(page.locator("#user-limits-problem")).to_have_text(
        "Per hour: give a whole number from 0 to 1,000,000,000, or nothing for no limit of this user's own."
    )
    form.get_by_role("spinbutton", name="Score").fill("101")
    form.get_by_role("button", name="Save reputation").click()
    expect(page.locator("#user-reputation-problem")).to_have_text(
        "Score: give a whole number from 0 to 100.\nReason: say why, in 1 to 200 characters."
    )
    form.get_by_label("Per hour").fill("30")
    form.get_by_role("button", name="Save limits").click()
    expect(form.get_by_role("table", name="Limits that apply")).to_contain_text("30 per hour")
    other = {"limits": {"requests_per_minute": 44}}
    assert own.request("PUT", f"{own.home}/users/a/b.c", json=other).status_code == 200
    form.get_by_label("Per hour").fill("31")
    form.get_by_role("button", name="Save limits").click()
    expect(page.locator("#user-limits-problem")).to_contain_text("They are now: 44 per minute. Yours: 31 per hour.")
    form.get_by_role("button", name="Save anyway").click()
    expect(form.get_by_role("table", name="Limits that apply")).to_contain_text("31 per hour")
    expect(form.get_by_role("button", name="Save limits")).to_be_visible()
    form.get_by_role("spinbutton", name="Score").fill("10")
    form.get_by_label("Reason").fill("sent <b>spam</b>")
    form.get_by_role("button", name="Save reputation").click()
    expect(page.locator("#user-standing")).to_have_text("10 points: flagged, limits ×0.5.")
    expect(page.locator("#user-events")).to_contain_text("sent <b>spam</b>")
    expect(form.get_by_role("table", name="Limits that apply")).to_contain_text("4 per day")
    form.get_by_role("button", name="Close").click()
    expect(page.get_by_role("table", name="Users by their fullest limit")).to_contain_text("Flagged · 10")
    with psycopg.connect(schema) as connection:
        found = connection.execute(
            "SELECT limit_value FROM rate_limit_configs WHERE scope_value = 'a/b.c' AND limit_value = 31"
        ).fetchall()
    assert found == [(31,)]


def test_an_unknown_user_is_named_as_such(schema: str, start: Start, visit: Visit) -> None:
    """A mistyped id does not look like a user without requests; a limit of its own makes the user known."""
    roomy(schema)
    own = start(TRUSTED_PROXIES="127.0.0.1")
    own.rule(scope="user", limit_type="daily_quota", limit_value=8)
    assert plain_http.get(f"{own.base_url}/api/x", headers={"X-User-ID": "ada"}).status_code == 404
    page = visit(own.base_url)
    page.locator("[data-tab=users]").click()
    form, unknown = page.locator("#user"), page.locator("#user-unknown")
    page.get_by_role("button", name="Open ada").click()
    expect(form.get_by_role("table", name="Limits that apply")).to_be_visible()
    expect(unknown).to_be_hidden()
    form.get_by_role("button", name="Close").click()
    page.get_by_label("User", exact=True).fill("adda")
    page.get_by_role("button", name="Open user").click()
    expect(unknown).to_contain_text("knows nothing about this user")
    form.get_by_label("Per hour").fill("30")
    form.get_by_role("button", name="Save limits").click()
    expect(unknown).to_be_hidden()


def counted(schema: str, rule: dict[str, Any], key: LiteralString, used: LiteralString, number: int) -> None:
    """Store the use of a daily quota by users; key and use are SQL of n, which counts from 1."""
    with psycopg.connect(schema) as connection:
        connection.execute(
            "INSERT INTO resource_quotas (key, rule_id, period_start, used, last_at)"
            f" SELECT {key}, %s, rate_limit_period_start('daily_quota', now()), {used}, now()"
            " FROM generate_series(1, %s) AS n",
            (rule["id"], number),
        )


def test_the_users_page_is_short_on_a_phone(schema: str, start: Start, visit: Visit) -> None:
    """Two tables with many users each show ten rows a page."""
    roomy(schema)
    own = start()
    rule = own.rule(scope="user", limit_type="daily_quota", limit_value=50)
    counted(schema, rule, "'user:u' || n", "1", 60)
    page = visit(own.base_url)
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("[data-tab=users]").click()
    expect(page.locator("#panel-users").get_by_text(re.compile(r"1–10 of 6\d"))).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollHeight") < 3000
    cut = page.locator("#panel-users td").evaluate_all("all => all.filter((one) => one.scrollWidth > one.clientWidth)")
    assert cut == []


def test_users_are_sorted_and_exported(schema: str, start: Start, visit: Visit) -> None:
    """The database sorts the whole list; a file has all of it in that order, or what the filter finds."""
    roomy(schema)
    own = start()
    rule = own.rule(scope="user", limit_type="daily_quota", limit_value=50)
    counted(schema, rule, "'user:u' || 100 + n", "n", 40)
    page = visit(own.base_url)
    page.locator("[data-tab=users]").click()
    first = page.get_by_role("table", name="Users by their fullest limit").locator("tbody tr").first
    expect(first).to_contain_text("u140")
    page.get_by_role("button", name="User", exact=True).click()
    expect(first).to_contain_text("u101")
    expect(page).to_have_url(re.compile("#users\\?usersort=key$"))
    panel = page.locator("#panel-users")
    with page.expect_download() as download:
        panel.get_by_role("button", name="Export CSV").first.click()
    with download.value.path().open(newline="") as file:
        assert [row["user"] for row in csv.DictReader(file)] == [f"u{n}" for n in range(101, 141)]
    panel.get_by_label("Key", exact=True).fill("user:u107")
    panel.get_by_label("Key", exact=True).press("Enter")
    expect(panel.get_by_role("table", name="Use of each limit").locator("tbody tr")).to_have_count(1)
    with page.expect_download() as download:
        panel.get_by_role("button", name="Export CSV").last.click()
    with download.value.path().open(newline="") as file:
        assert [(row["key"], row["used"]) for row in csv.DictReader(file)] == [("user:u107", "7")]
