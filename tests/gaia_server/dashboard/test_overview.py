"""The Overview tab: current activity, and the rules."""

import re

import psycopg
from playwright.sync_api import expect

from tests.gaia_server.conftest import Running, Start
from tests.gaia_server.dashboard.conftest import Visit, connected, flood, roomy


def test_decisions_are_drawn(server: Running, visit: Visit) -> None:
    """The chart's label contains the numbers that its bars show."""
    page = visit(server.base_url)
    expect(page.get_by_role("img", name=re.compile(r"Allowed \d+, Denied [1-9]"))).to_be_visible()
    assert page.locator("#panel-overview canvas").count() == 1


def test_events_appear_at_once(schema: str, start: Start, visit: Visit) -> None:
    """A denial and an alert appear without a reload, and the number of messages increases."""
    roomy(schema)
    own = start()
    page = visit(own.base_url)
    connected(page)
    before = int(page.locator("[data-live=seq]").inner_text())
    flood(own, 102, "flooder")
    expect(page.locator("#panel-overview .feed").get_by_text("api_key:flooder").first).to_be_visible(timeout=2000)
    expect(page.locator("#alerts-badge")).to_have_text("1", timeout=2000)
    expect(page).to_have_title("(1) Quotas · gaia_server")
    page.locator("[data-tab=alerts]").click()
    expect(page.locator("#panel-alerts").get_by_text("Firing", exact=True).first).to_be_visible()
    assert int(page.locator("[data-live=seq]").inner_text()) > before


def test_rules_are_created_changed_and_deleted(server: Running, visit: Visit) -> None:
    """The form shows errors beside their fields, and describes the rule in a sentence."""
    page = visit(server.base_url)
    page.get_by_role("button", name="New rule").click()
    form = page.locator("#rule")
    form.get_by_label("Name").fill('"quoted"')
    form.get_by_role("button", name="Save rule").click()
    expect(page.locator("#wrong-rule_name")).to_have_text(
        "Give 1 to 100 letters, digits, spaces or ._:/@-, the first a letter or a digit."
    )
    form.get_by_label("Name").fill("from the page")
    for scope, value, advice in (
        (
            "user",
            "a b",
            "Give 1 to 200 letters, digits or signs without spaces and accents, or leave it empty for each user.",
        ),
        ("ip", "here", "Give an IP address, such as 192.0.2.7, or leave it empty for each address."),
    ):
        form.get_by_label("Counted for").select_option(scope)
        form.get_by_label("Only for").fill(value)
        form.get_by_role("button", name="Save rule").click()
        expect(page.locator("#wrong-scope_value")).to_have_text(advice)
    form.get_by_label("At most").fill("2.5")
    form.get_by_role("button", name="Save rule").click()
    expect(page.locator("#wrong-limit_value")).to_have_text("Give a whole number from 0 to 1,000,000,000.")
    form.get_by_label("Name").fill("from the page")
    form.get_by_label("At most").fill("1200")
    form.get_by_label("Only for").fill("192.0.2.7")
    expect(page.locator("#rule-summary")).to_have_text("At most 1,200 requests per minute for the address 192.0.2.7.")
    form.get_by_role("button", name="Save rule").click()
    edit = page.get_by_role("button", name="Edit from the page")
    expect(edit).to_be_focused()

    edit.click()
    form.get_by_label("At most").fill("7")
    form.get_by_role("button", name="Save rule").click()
    row = page.locator("tr", has_text="from the page")
    expect(row).to_contain_text("7 per minute")
    row.get_by_role("button", name="Delete").click()
    page.locator("#confirm").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)


def test_a_rule_that_another_administrator_has_changed(server: Running, visit: Visit) -> None:
    """The dialog shows both values, and replaces the other one only when asked a second time."""
    rule = server.rule(rule_name="of two", scope_value="both", limit_value=10)
    page = visit(server.base_url)
    page.get_by_role("button", name="Edit of two").click()
    form, problem = page.locator("#rule"), page.locator("#rule-problem")
    form.get_by_label("At most").fill("30")
    changed = {name: rule[name] for name in ("rule_name", "scope", "scope_value", "limit_type")}
    url = f"{server.home}/config/{rule['id']}"
    assert server.request("PUT", url, json={**changed, "limit_value": 20}).status_code == 200
    form.get_by_role("button", name="Save rule").click()
    expect(problem).to_contain_text("It is now: “of two: At most 20 requests per hour for the API key both.”")
    expect(problem).to_contain_text("Yours: “of two: At most 30 requests per hour for the API key both.”")
    assert server.get(url).json()["limit_value"] == 20
    form.get_by_role("button", name="Save anyway").click()
    expect(form).to_be_hidden()
    assert server.get(url).json()["limit_value"] == 30
    page.get_by_role("button", name="Edit of two").click()
    expect(form.get_by_role("button", name="Save rule")).to_be_visible()


def test_a_rule_that_refuses_its_author_and_its_deletion(start: Start, schema: str, visit: Visit) -> None:
    """The dialog asks before it is set; afterwards the page is refused, but the rule can be deleted there."""
    roomy(schema)
    own = start()
    page = visit(own.base_url)
    page.get_by_role("button", name="New rule").click()
    form = page.locator("#rule")
    form.get_by_label("Name").fill("nobody")
    form.get_by_label("At most").fill("0")
    form.get_by_role("button", name="Save rule").click()
    expect(page.locator("#rule-problem")).to_contain_text("This rule refuses your own requests")
    form.get_by_role("button", name="Save anyway").click()
    expect(form).to_be_hidden()
    page.reload()
    expect(page.locator("#notice")).to_contain_text("rate limited")
    page.get_by_role("button", name="Delete nobody").click()
    page.locator("#confirm").get_by_role("button", name="Delete").click()
    expect(page.locator("tr", has_text="nobody")).to_have_count(0)
    assert own.get(f"{own.home}/usage").status_code == 200


def test_a_new_rule_is_visible(start: Start, schema: str, visit: Visit) -> None:
    """With more than a page of rules, the list turns to the new rule; it stays there when one is deleted."""
    roomy(schema)
    own = start()
    for _ in range(30):
        own.rule(limit_value=1, enabled=False)
    page = visit(own.base_url)
    page.get_by_role("button", name="New rule").click()
    page.locator("#rule").get_by_label("Name").fill("the newest")
    page.locator("#rule").get_by_role("button", name="Save rule").click()
    expect(page.get_by_role("button", name="Edit the newest")).to_be_focused()
    page.get_by_role("button", name="Delete the newest").click()
    page.locator("#confirm").get_by_role("button", name="Delete").click()
    expect(page.locator("tr", has_text="the newest")).to_have_count(0)
    expect(page.get_by_text("26–34 of 34")).to_be_visible()


def test_rules_of_other_clients_appear(start: Start, schema: str, visit: Visit) -> None:
    """The table follows what another client creates, changes and deletes, and keeps the focus."""
    roomy(schema)
    own = start()
    rule = own.rule(rule_name="changed elsewhere", limit_value=10)
    page = visit(own.base_url)
    edit = page.get_by_role("button", name="Edit changed elsewhere")
    edit.focus()
    removed = own.rule(rule_name="of another client", limit_value=10)
    expect(page.locator("tr", has_text="of another client")).to_be_visible(timeout=8000)
    expect(edit).to_be_focused()
    fields = {name: rule[name] for name in ("rule_name", "scope", "limit_type")}
    assert own.request("PUT", f"{own.home}/config/{rule['id']}", json={**fields, "limit_value": 77}).status_code == 200
    assert own.request("DELETE", f"{own.home}/config/{removed['id']}").status_code == 204
    expect(page.locator("tr", has_text="changed elsewhere")).to_contain_text("77 per hour", timeout=8000)
    expect(page.locator("tr", has_text="of another client")).to_have_count(0)


def test_long_names_and_large_limits_fit(server: Running, visit: Visit) -> None:
    """A limit is one line, and the buttons of its rule are within reach, however long its names are."""
    server.rule(rule_name="n" * 100, scope_value="v" * 200, limit_value=1_000_000_000, enabled=False)
    page = visit(server.base_url)
    row = page.locator("tr", has_text="n" * 100)
    for width in (1360, 1024, 390):
        page.set_viewport_size({"width": width, "height": 800})
        box = row.get_by_text("1,000,000,000 per hour").bounding_box()
        assert box
        assert box["height"] < 30, width
        button = row.get_by_role("button", name="Delete").bounding_box()
        assert button
        assert button["x"] + button["width"] <= width
    remove = server.get(f"{server.home}/config?rule_name={'n' * 100}").json()["items"][0]["id"]
    assert server.request("DELETE", f"{server.home}/config/{remove}").status_code == 204


def test_escape_keeps_a_half_typed_rule(server: Running, visit: Visit) -> None:
    """The form opens again with what was typed for this rule, and only for this one; Cancel discards it."""
    rule = server.rule(limit_value=10, enabled=False)
    page = visit(server.base_url)
    new, form = page.get_by_role("button", name="New rule"), page.locator("#rule")
    new.click()
    form.get_by_label("Name").fill("half typed")
    page.keyboard.press("Escape")
    expect(form).to_be_hidden()
    page.get_by_role("button", name=f"Edit {rule['rule_name']}").click()
    expect(form.get_by_label("Name")).to_have_value(rule["rule_name"])
    page.keyboard.press("Escape")
    new.click()
    expect(form.get_by_label("Name")).to_have_value("half typed")
    expect(page.locator("#rule-draft")).to_be_visible()
    form.get_by_role("button", name="Start over").click()
    expect(form.get_by_label("Name")).to_have_value("")
    form.get_by_label("Name").fill("given up")
    form.get_by_role("button", name="Cancel").click()
    new.click()
    expect(form.get_by_label("Name")).to_have_value("")
    expect(page.locator("#rule-draft")).to_be_hidden()


def test_a_deletion_can_be_undone_for_ten_seconds(server: Running, visit: Visit) -> None:
    """The rule is restored with all its fields; afterwards the offer is gone."""
    rule = server.rule(rule_name="gone by mistake", scope_value="acme", limit_value=10, enabled=False)
    page = visit(server.base_url, clock=True)
    row, offer = page.locator("tr", has_text="gone by mistake"), page.locator("#deleted")

    def delete() -> None:
        row.get_by_role("button", name="Delete").click()
        page.locator("#confirm").get_by_role("button", name="Delete").click()
        expect(row).to_have_count(0)
        expect(offer).to_have_text(re.compile("“gone by mistake” is deleted."))

    delete()
    offer.get_by_role("button", name="Undo").click()
    expect(row).to_be_visible()
    expect(offer).to_be_hidden()
    found = server.get(f"{server.home}/config?rule_name=gone by mistake").json()["items"]
    stored = ("id", "created_at", "updated_at")
    assert [{name: one[name] for name in one if name not in stored} for one in found] == [
        {name: rule[name] for name in rule if name not in stored}
    ]
    delete()
    page.clock.run_for(9_000)
    expect(offer).to_be_visible()
    page.clock.run_for(2_000)
    expect(offer).to_be_hidden()


def test_the_last_hour_is_drawn_when_the_page_opens(start: Start, schema: str, visit: Visit) -> None:
    """The lines below the figures show what the server has stored, not what this page has received."""
    roomy(schema)
    with psycopg.connect(schema) as connection:
        connection.execute(
            "INSERT INTO system_load_history (sampled_at, instance, cpu_percent, memory_bytes, requests_per_second,"
            " websocket_clients, pool_in_use) SELECT now() - make_interval(mins => m), 'before', 1, 5e7, 10 + m, 0, 0"
            " FROM generate_series(1, 30) AS m"
        )
    page = visit(start().base_url)
    for name in ("Requests per second", "Denied, last minute", "Memory"):
        line = page.locator(".figure", has_text=name).locator("polyline")
        expect(line).to_have_attribute("points", re.compile(r"^(\S+,\S+ ){29,59}\S+$"))
