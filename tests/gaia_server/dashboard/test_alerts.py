"""The Alerts tab: alerts fire, are acknowledged, resolve, and stay in the history."""

import re
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Page, expect

from tests.gaia_server.conftest import Running, Start, poll
from tests.gaia_server.dashboard.conftest import Visit, connected, roomy

RULES = "/alerts/rules"


def past(server: Running, says: str, *, name: str = "past", severity: str = "warning", by: str | None = None) -> int:
    """Store an alert that resolved two days ago; return its id."""
    with psycopg.connect(server.dsn) as connection:
        found = connection.execute(
            "INSERT INTO rate_limit_alerts"
            " (name, severity, says, threshold, value, fired_at, resolved_value, resolved_at) VALUES"
            " (%s, %s, %s, 100, 321, now() - interval '3 days', 7,"
            " now() - interval '3 days' + interval '150 seconds') RETURNING id",
            (name, severity, says),
        ).fetchone()
        assert found
        if by:
            connection.execute(
                "INSERT INTO rate_limit_alert_acknowledgements (alert_id, acknowledged_at, acknowledged_by)"
                " VALUES (%s, now() - interval '3 days', %s)",
                (found[0], by),
            )
    return int(found[0])


@pytest.fixture
def own(schema: str, start: Start) -> Running:
    """A separate server, whose alerts no other test makes fire."""
    return start(DATABASE_URL=roomy(schema))


def fire(server: Running, name: str, **fields: Any) -> int:
    """Make an alert fire; return the id of its rule."""
    body = {"name": name, "metric": "memory_mb", "threshold": 1, **fields}
    rule_id: int = server.request("POST", f"{server.home}{RULES}", json=body).json()["id"]
    poll(lambda: name in [alert["name"] for alert in firing(server)])
    return rule_id


def firing(server: Running) -> list[dict[str, Any]]:
    """Return the firing alerts."""
    found: list[dict[str, Any]] = server.get(f"{server.home}/alerts?state=firing").json()["items"]
    return found


def opened(page: Page) -> Page:
    """Open the Alerts tab of a page and wait for its data."""
    page.locator("[data-tab=alerts]").click()
    expect(page.locator("#panel-alerts")).to_have_attribute("aria-busy", "false")
    return page


def test_history_outlives_the_process(server: Running, visit: Visit) -> None:
    """A past alert of another process is in the history with its duration, and who acknowledged it."""
    past(server, "long ago", by="Grace")
    row = opened(visit(server.base_url)).get_by_role("table", name="History").get_by_role("row", name="long ago")
    for text in ("321, above 100", "2 min 30 s", "Resolved", "by Grace"):
        expect(row).to_contain_text(text)


def test_an_alert_is_acknowledged_by_a_kept_name(own: Running, visit: Visit) -> None:
    """The name is asked once; every page shows it at once, and the header counts acknowledged alerts apart."""
    rule_ids = [fire(own, name) for name in ("first", "second")]
    page, other = opened(visit(own.base_url)), visit(own.base_url)
    connected(other)
    now = page.get_by_role("table", name="Firing now")
    expect(other.locator("#alerts-badge")).to_have_text("2")
    expect(page).to_have_title(re.compile(r"^\(2\)"))
    now.get_by_role("button", name="Acknowledge first").press("Enter")
    dialog = page.get_by_role("dialog", name="Who takes care of alerts here?")
    dialog.get_by_role("button", name="Acknowledge").click()
    expect(dialog.get_by_role("alert")).to_have_text("Give your name.")
    dialog.get_by_label("Your name").fill("مريم 😀")
    page.keyboard.press("Enter")
    expect(now.get_by_role("row").filter(has_text="first")).to_contain_text("by مريم 😀")
    for one in (page, other):
        expect(one.locator("#alerts-badge")).to_have_text("1")
        expect(one.locator("#alerts-acknowledged")).to_have_text("1")
        expect(one).to_have_title(re.compile(r"^\(1\)"))
    expect(other.locator("#announce")).to_have_text(re.compile("^Alert acknowledged by مريم 😀: "))
    page.reload()
    opened(page)
    page.get_by_role("table", name="History").get_by_role("button", name="Acknowledge second").click()
    expect(now.get_by_role("row").filter(has_text="second")).to_contain_text("Acknowledged")
    expect(page.get_by_role("button", name="Acknowledge", exact=False)).to_have_count(1)  # only the one of the name
    expect(page.locator("#alerts-badge")).to_be_hidden()
    assert [alert["acknowledged_by"] for alert in firing(own)] == ["مريم 😀"] * 2
    page.get_by_role("button", name="You acknowledge as").click()
    page.get_by_label("Your name").fill("Ada")
    page.get_by_role("button", name="Save name").click()
    expect(page.get_by_role("button", name="You acknowledge as Ada")).to_be_visible()
    for rule_id in rule_ids:
        own.request("DELETE", f"{own.home}{RULES}/{rule_id}")
    expect(page.get_by_text("All quiet")).to_be_visible()
    expect(page.locator("#alerts-acknowledged")).to_be_hidden()
    expect(page.get_by_role("table", name="History").get_by_text("Resolved")).to_have_count(2)


def test_the_history_is_filtered_and_linked(own: Running, visit: Visit) -> None:
    """State, severity and page are in the address; a reload and the back button keep them."""
    for number in range(30):
        past(own, f"past {number}", severity="critical" if number else "info")
    fire(own, "fires", severity="critical")
    fire(own, "taken", severity="info")
    (taken,) = [alert for alert in firing(own) if alert["name"] == "taken"]
    own.request("POST", f"{own.home}/alerts/{taken['id']}/acknowledge", json={"by": "Ada"})
    page = opened(visit(own.base_url))
    history = page.get_by_role("table", name="History")
    names = history.locator("tbody td:first-child")
    state, severity = page.get_by_label("State of alert"), page.get_by_label("Severity", exact=True).first
    expect(names.first).to_have_text("taken")  # the newest
    state.select_option("firing")
    expect(names).to_have_text(["fires"])
    state.select_option("acknowledged")
    expect(names).to_have_text(["taken"])
    severity.select_option("critical")
    expect(page.get_by_text("match this filter")).to_be_visible()
    state.select_option("resolved")
    expect(names).to_have_text(["past"] * 25)
    page.locator("section").filter(has=history).get_by_role("button", name="Next").click()
    expect(names).to_have_text(["past"] * 4)
    expect(page).to_have_url(re.compile(r"#alerts\?state=resolved&severity=critical&page=2$"))
    page.reload()
    expect(names).to_have_text(["past"] * 4)
    expect(state).to_have_value("resolved")
    page.go_back()
    expect(names).to_have_text(["past"] * 25)
    for _ in range(2):
        page.go_back()
    expect(names).to_have_text(["taken"])
    expect(severity).to_have_value("")


def test_failures_of_delivery_are_shown(own: Running, visit: Visit) -> None:
    """What was sent, what is tried again and why, and what was given up."""
    expected = {
        "arrived": ("now()", None, None, "Sent"),
        "tried again": (None, "now() + interval '1 hour'", "the server answered 503", "Retrying"),
        "given up": (None, None, "connection refused", "Not delivered"),
        "waiting": (None, "now() + interval '1 hour'", None, "To be sent"),
    }
    with psycopg.connect(own.dsn) as connection:
        for says, (sent, due, failure, _) in expected.items():
            connection.execute(
                "INSERT INTO rate_limit_alert_notifications"  # the expressions are above
                " (alert_id, state, target, attempts, sent_at, next_attempt_at, failure)"
                f" VALUES (%s, 'firing', 1, 1, {sent or 'NULL'}, {due or 'NULL'}, %s)",
                (past(own, says), failure),
            )
    page = opened(visit(own.base_url))
    rows = page.get_by_role("table", name="History").get_by_role("row")
    for says, (_, _, failure, shown) in expected.items():
        expect(rows.filter(has_text=says)).to_contain_text(shown)
        if failure:
            expect(rows.filter(has_text=says)).to_contain_text(failure)
    with psycopg.connect(own.dsn, autocommit=True) as connection:
        connection.execute("UPDATE rate_limit_alert_notifications SET next_attempt_at = NULL, sent_at = now()")
    expect(rows.filter(has_text="waiting")).to_contain_text("Sent", timeout=15_000)  # without a reload


def test_any_name_fits_a_phone(own: Running, visit: Visit) -> None:
    """Names of 200 characters, in Arabic and with emoji, and long sentences, widen no page."""
    past(own, "s" * 300, name="x" * 200, by="n" * 100)
    past(own, "mixed", name="مستخدم 😀 abc", by="مريم")
    rule_id = fire(own, "n" * 100)
    own.request("POST", f"{own.home}{RULES}/{rule_id}/mute", json={"for_s": 3600})
    page = visit(own.base_url)
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        opened(page)
        expect(page.get_by_role("table", name="History")).to_contain_text("مستخدم 😀 abc")
        assert page.evaluate("document.documentElement.scrollWidth") == width
    for name, dialog in (("New alert rule", "#alert-rule"), (f"Acknowledge {'n' * 100}", "#acknowledge")):
        page.get_by_role("button", name=name).first.click()
        box = page.locator(dialog).bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        page.keyboard.press("Escape")
