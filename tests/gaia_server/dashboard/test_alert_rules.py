"""The Alerts tab: alert rules are listed, made, changed, muted, deleted and brought back."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.gaia_server.conftest import Running, unique
from tests.gaia_server.dashboard.conftest import Visit, connected

RULES = "/alerts/rules"


def made(server: Running, **fields: Any) -> dict[str, Any]:
    """Create an alert rule, by default one that never fires."""
    body = {"name": unique("alert"), "metric": "memory_mb", "threshold": 100_000, **fields}
    answer = server.request("POST", f"{server.home}{RULES}", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def stored(server: Running, name: str) -> dict[str, Any] | None:
    """Return the alert rule of this name, None if there is none."""
    items = server.get(f"{server.home}{RULES}?limit=200").json()["items"]
    return next((rule for rule in items if rule["name"] == name), None)


@pytest.fixture
def page(server: Running, visit: Visit) -> Iterator[Page]:
    """The Alerts tab; the alert rules that a test makes are deleted afterwards."""
    before = {rule["id"] for rule in server.get(f"{server.home}{RULES}?limit=200").json()["items"]}
    page = visit(f"{server.base_url}")
    page.locator("[data-tab=alerts]").click()
    expect(page.get_by_role("table", name="Alert rules")).to_contain_text("violations_per_minute")
    yield page
    for rule in server.get(f"{server.home}{RULES}?limit=200").json()["items"]:
        if rule["id"] not in before:
            server.request("DELETE", f"{server.home}{RULES}/{rule['id']}")


def row(page: Page, rule: dict[str, Any]) -> Locator:
    """Return the row of an alert rule."""
    return page.get_by_role("table", name="Alert rules").locator(f"[data-id='{rule['id']}']")


def pressed(page: Page, action: str, rule: dict[str, Any]) -> None:
    """Press a button of an alert rule."""
    page.get_by_role("button", name=f"{action} {rule['name']}", exact=True).click()


def test_a_rule_is_shown_in_words(server: Running, page: Page) -> None:
    """The metric, of which rule, the threshold with its unit, when it clears, how long it holds, and its state."""
    limit = server.rule(limit_value=9)
    rule = made(
        server,
        metric="violations_per_minute",
        rule_id=limit["id"],
        threshold=1500,
        clear_threshold=1000,
        for_s=90,
        severity="critical",
    )
    of_all = made(server, metric="limit_utilisation_percent", threshold=90, enabled=False)
    page.reload()
    for text in (
        rule["name"],
        "Denied requests within a minute",
        f"of {limit['rule_name']}",
        "above 1,500 requests for 1 min 30 s",
        "clears at 1,000 requests",
        "Critical",
        "Quiet",
        "0 of 1,500",
    ):
        expect(row(page, rule)).to_contain_text(text)
    for text in ("Fullest limit of a client", "of all rate limit rules", "above 90 %", "Off", "–"):
        expect(row(page, of_all)).to_contain_text(text)
    server.request("DELETE", f"{server.home}/config/{limit['id']}")
    expect(row(page, rule)).to_be_hidden(timeout=15_000)  # it went with its rate limit rule


def test_a_rule_is_made_with_the_keyboard(server: Running, page: Page) -> None:
    """The form describes what it makes; the new rule is shown with the focus on it."""
    name = unique("typed")
    page.get_by_role("button", name="New alert rule").press("Enter")
    expect(page.get_by_role("dialog", name="New alert rule")).to_be_visible()
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type("Memory")
    page.keyboard.press("Tab")  # the rate limit rule is disabled: no rule has memory
    page.keyboard.type("400")
    page.keyboard.press("Tab")
    page.keyboard.type("300")
    page.keyboard.press("Tab")
    page.keyboard.type("60")
    expect(page.locator("#alert-rule-summary")).to_have_text(
        "Memory of a server process: fires above 400 MB for 1 min, clears at 300 MB."
    )
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name=f"Edit {name}")).to_be_focused()
    found = stored(server, name)
    assert found is not None
    wanted = {"metric": "memory_mb", "rule_id": None, "threshold": 400, "clear_threshold": 300, "for_s": 60}
    assert {field: found[field] for field in wanted} == wanted


def test_errors_are_beside_their_fields(page: Page) -> None:
    """What the server refuses is said in words beside the field; what it takes is saved."""
    page.get_by_role("button", name="New alert rule").click()
    form = page.locator("#alert-rule")
    name, above = form.get_by_label("Name"), form.get_by_label("Fires above")
    save = form.get_by_role("button", name="Save alert rule")
    clears, holds = form.get_by_label("Clears at or below"), form.get_by_label("Holds for")
    for field, value, problem in (
        (name, "مستخدم 😀", "Give 1 to 100 letters, digits, spaces"),
        (name, "violations_per_minute", "Another alert rule has this name."),
        (above, "", "Give a whole number from 0 to 1,000,000,000."),
        (above, "1.5", "Give a whole number from 0 to 1,000,000,000."),
        (clears, "101", "Give at most 100, above which it fires."),
        (holds, "86401", "Give a whole number of seconds from 0 to 86,400"),
    ):
        name.fill(unique("name"))
        above.fill("100")
        clears.fill("")
        holds.fill("0")
        field.fill(value)
        save.click()
        expect(form.get_by_text(problem)).to_be_visible()
        expect(field).to_have_attribute("aria-invalid", "")
        expect(field).to_be_focused()
        expect(form.locator(".problem:visible")).to_have_count(1)
    holds.fill("0")
    save.click()
    expect(form).to_be_hidden()


def test_what_escape_has_closed_comes_back(page: Page) -> None:
    """A half-typed form opens again as it was; it can be started over, and Cancel gives it up."""
    add, form = page.get_by_role("button", name="New alert rule"), page.locator("#alert-rule")
    add.click()
    form.get_by_label("Name").fill("half typed")
    form.get_by_label("Severity").select_option("critical")
    page.keyboard.press("Escape")
    expect(form).to_be_hidden()
    add.click()
    expect(form.get_by_label("Name")).to_have_value("half typed")
    expect(form.get_by_label("Severity")).to_have_value("critical")
    form.get_by_role("button", name="Start over").click()
    expect(form.get_by_label("Name")).to_have_value("")
    form.get_by_label("Name").fill("given up")
    form.get_by_role("button", name="Cancel").click()
    add.click()
    expect(form.get_by_label("Name")).to_have_value("")


def test_a_change_by_another_administrator_is_not_overwritten(server: Running, page: Page) -> None:
    """The form says what the rule is now, and replaces it only when it is saved again."""
    rule = made(server)
    page.reload()
    pressed(page, "Edit", rule)
    form = page.locator("#alert-rule")
    form.get_by_label("Fires above").fill("7000")
    body = {"name": rule["name"], "metric": "memory_mb", "threshold": 5000}
    path = f"{server.home}{RULES}/{rule['id']}"
    assert server.request("PUT", path, json=body).status_code == 200
    form.get_by_role("button", name="Save alert rule").click()
    expect(page.locator("#alert-rule-problem")).to_contain_text("It is now")
    expect(page.locator("#alert-rule-problem")).to_contain_text("above 5,000 MB")
    assert server.get(path).json()["threshold"] == 5000
    form.get_by_role("button", name="Save anyway").click()
    expect(row(page, rule)).to_contain_text("above 7,000 MB")
    assert server.get(path).json()["threshold"] == 7000


def test_a_rule_is_duplicated_disabled_and_enabled(server: Running, page: Page) -> None:
    """A copy starts with all fields; a disabled rule is off, and the focus stays on the rule."""
    rule = made(server, threshold=77_000, clear_threshold=66_000, severity="info")
    page.reload()
    pressed(page, "Duplicate", rule)
    expect(page.locator("#alert-rule").get_by_label("Name")).to_have_value(f"{rule['name']} copy")
    page.get_by_role("button", name="Save alert rule").click()
    expect(page.get_by_role("button", name=f"Edit {rule['name']} copy")).to_be_focused()
    copied = stored(server, f"{rule['name']} copy")
    assert copied is not None
    fields = ("metric", "rule_id", "threshold", "clear_threshold", "for_s", "severity", "enabled")
    assert [copied[field] for field in fields] == [rule[field] for field in fields]
    pressed(page, "Disable", copied)
    expect(row(page, copied)).to_contain_text("Off")
    expect(row(page, copied).get_by_role("button", name="Enable")).to_be_focused()
    assert (stored(server, copied["name"]) or {})["enabled"] is False
    pressed(page, "Enable", copied)
    expect(row(page, copied)).to_contain_text("Quiet")


def test_a_deleted_rule_can_be_restored(server: Running, page: Page) -> None:
    """After a question it is deleted; for 10 s it can be restored, also with its mute."""
    rule = made(server, for_s=5, severity="critical")
    server.request("POST", f"{server.home}{RULES}/{rule['id']}/mute", json={"for_s": 3600})
    page.reload()
    pressed(page, "Delete", rule)
    page.keyboard.press("Escape")
    expect(row(page, rule)).to_be_visible()
    pressed(page, "Delete", rule)
    question = page.get_by_role("dialog", name="Delete this alert rule?")
    expect(question).to_contain_text(rule["name"])
    question.get_by_role("button", name="Delete").click()
    expect(row(page, rule)).to_be_hidden()
    assert stored(server, rule["name"]) is None
    page.locator("#deleted").get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name=f"Edit {rule['name']}")).to_be_focused()
    expect(page.locator("#deleted")).to_be_hidden()
    found = stored(server, rule["name"])
    assert found is not None
    fields = ("metric", "rule_id", "threshold", "clear_threshold", "for_s", "severity", "enabled")
    assert [found[field] for field in fields] == [rule[field] for field in fields]
    assert until(found) > datetime.now(UTC) + timedelta(minutes=50)


def test_what_another_administrator_has_changed_is_restored(server: Running, page: Page) -> None:
    """The deleted rule comes back as it was then, not as this page showed it."""
    rule = made(server)
    page.reload()
    pressed(page, "Delete", rule)
    body = {"name": rule["name"], "metric": "memory_mb", "threshold": 200_000}
    assert server.request("PUT", f"{server.home}{RULES}/{rule['id']}", json=body).status_code == 200
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.locator("#deleted").get_by_role("button", name="Undo").click()
    expect(page.locator("#deleted")).to_be_hidden()
    expect(page.get_by_role("button", name=f"Edit {rule['name']}")).to_be_focused()
    found = stored(server, rule["name"])
    assert found is not None
    assert found["threshold"] == 200_000


def test_the_offer_to_restore_ends(server: Running, visit: Visit) -> None:
    """After 10 s a deletion stands."""
    rule = made(server)
    page = visit(server.base_url, clock=True)
    page.locator("[data-tab=alerts]").click()
    pressed(page, "Delete", rule)
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    offer = page.locator("#deleted")
    expect(offer).to_contain_text(rule["name"])
    page.clock.run_for(10_000)
    expect(offer).to_be_hidden()


def until(rule: dict[str, Any]) -> datetime:
    """Return until when a rule is muted."""
    return datetime.fromisoformat(rule["muted_until"])


@pytest.mark.parametrize(("choice", "hours"), [("15 min", 0.25), ("1 h", 1), ("8 h", 8)])
def test_a_rule_is_muted_for_some_time_and_unmuted(server: Running, page: Page, choice: str, hours: float) -> None:
    """Until when is shown in the list; the button then ends it."""
    rule = made(server)
    page.reload()
    pressed(page, "Mute", rule)
    started = datetime.now(UTC)
    page.get_by_role("dialog", name=f"Mute {rule['name']}").get_by_role("button", name=choice).click()
    expect(row(page, rule)).to_contain_text("Muted until")
    expect(row(page, rule).get_by_role("button", name="Unmute")).to_be_focused()
    found = until(stored(server, rule["name"]) or {})
    assert started + timedelta(hours=hours) <= found <= datetime.now(UTC) + timedelta(hours=hours)
    pressed(page, "Unmute", rule)
    expect(row(page, rule)).not_to_contain_text("Muted until")
    assert (stored(server, rule["name"]) or {})["muted_until"] is None


def test_a_rule_is_muted_until_a_moment_of_the_shown_zone(server: Running, visit: Visit) -> None:
    """A moment in the past or in two months is refused in words; what was typed outlives Escape."""
    rule = made(server)
    page = visit(server.base_url, zone="Asia/Tokyo")
    page.locator("[data-tab=alerts]").click()
    pressed(page, "Mute", rule)
    dialog = page.locator("#mute")
    field, mute = dialog.get_by_label("Or until (Asia/Tokyo)"), dialog.get_by_role("button", name="Mute until then")
    now = datetime.now(UTC) + timedelta(hours=9)
    for day, problem in ((-1, "Give a time that is still to come."), (60, "Give a time within the next 30 days.")):
        field.fill(f"{now + timedelta(days=day):%Y-%m-%dT%H:%M}")
        mute.click()
        expect(dialog.locator("#mute-problem")).to_have_text(problem)
        expect(field).to_be_focused()
    wanted = (now + timedelta(days=2)).replace(second=0, microsecond=0)
    field.fill(f"{wanted:%Y-%m-%dT%H:%M}")
    page.keyboard.press("Escape")
    pressed(page, "Mute", rule)
    expect(field).to_have_value(f"{wanted:%Y-%m-%dT%H:%M}")
    mute.click()
    expect(row(page, rule)).to_contain_text(f"Muted until {wanted:%-d %b}, {wanted:%H:%M}")
    found = until(stored(server, rule["name"]) or {})
    assert abs(found - (wanted - timedelta(hours=9))) < timedelta(seconds=5)


def test_others_changes_are_shown_without_a_reload(server: Running, page: Page) -> None:
    """A rule of another administrator appears with its present value, and its mute and its end as well."""
    connected(page)
    rule = made(server, name=unique("other"))
    expect(row(page, rule)).to_contain_text(re.compile(r"\d+ of 100,000"), timeout=15_000)
    server.request("POST", f"{server.home}{RULES}/{rule['id']}/mute", json={"for_s": 3600})
    expect(row(page, rule)).to_contain_text("Muted until", timeout=15_000)
    server.request("DELETE", f"{server.home}{RULES}/{rule['id']}")
    expect(row(page, rule)).to_be_hidden(timeout=15_000)


def test_a_page_of_rules_is_in_the_address(server: Running, page: Page) -> None:
    """With more rules than fit a page, the second page is linked, and the back button returns."""
    for number in range(25):
        made(server, name=unique(f"page-{number}"), enabled=False)
    page.reload()
    rules = page.locator("section").filter(has=page.get_by_role("table", name="Alert rules"))
    expect(rules.get_by_text(re.compile("^1–25 of "))).to_be_visible()
    rules.get_by_role("button", name="Next").click()
    expect(page).to_have_url(re.compile(r"#alerts\?rulespage=2$"))
    page.reload()
    expect(rules.get_by_text(re.compile("^26–"))).to_be_visible()
    page.go_back()
    expect(rules.get_by_text(re.compile("^1–25 of "))).to_be_visible()
