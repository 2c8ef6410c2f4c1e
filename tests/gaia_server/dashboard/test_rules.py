"""The table of rules: found, copied and changed many at a time."""

from typing import Any

from playwright.sync_api import expect

from tests.gaia_server.conftest import Running
from tests.gaia_server.dashboard.conftest import Visit


def test_rules_are_found(server: Running, visit: Visit) -> None:
    """Rules are found by a part of the name or the value as one types, by kind and by state; a reload keeps that."""
    rules: dict[str, dict[str, Any]] = {
        "findable one": {"scope_value": "Needle-1", "enabled": False},
        "findable two": {"scope": "user", "scope_value": "needle-2"},
        "other": {"scope_value": "hay", "enabled": False},
    }
    for name, fields in rules.items():
        server.rule(rule_name=name, limit_value=9, **fields)
    page = visit(server.base_url)
    find = page.get_by_label("Find a rule")
    names = page.get_by_role("table", name="Rate limit configuration").locator("tbody td:first-child")
    for typed in ("NEEDLE", "findable"):
        find.fill(typed)
        expect(names).to_have_text(["findable one", "findable two"])
    page.get_by_label("Kind of rule").select_option("user")
    expect(names).to_have_text(["findable two"])
    page.get_by_label("Kind of rule").select_option("")
    page.get_by_label("State of rule").select_option("false")
    expect(names).to_have_text(["findable one"])
    page.reload()
    expect(names).to_have_text(["findable one"])
    find.fill("nowhere")
    expect(page.get_by_text("match this filter").first).to_be_visible()


def test_a_rule_is_copied(server: Running, visit: Visit) -> None:
    """A copy starts with all fields of the other rule, and is shown although a filter excludes it."""
    rule = server.rule(rule_name="to copy", scope_value="acme", limit_value=12, resource_type="usage", enabled=False)
    page = visit(server.base_url)
    page.get_by_label("Find a rule").fill("to copy")
    page.get_by_role("button", name="Copy to copy").click()
    form = page.locator("#rule")
    form.get_by_label("Name").fill("copied")
    form.get_by_role("button", name="Save rule").click()
    expect(page.get_by_role("button", name="Edit copied")).to_be_focused()
    found = server.get(f"{server.home}/config?rule_name=copied").json()["items"]
    stored = ("id", "created_at", "updated_at", "rule_name")
    assert [{name: one[name] for name in one if name not in stored} for one in found] == [
        {name: rule[name] for name in rule if name not in stored}
    ]


def test_found_rules_are_disabled_at_once(server: Running, visit: Visit) -> None:
    """Only with a filter, only the rules that it finds, and only after a question that names them."""
    for number in range(3):
        server.rule(rule_name=f"many {number}", scope_value="acme", limit_value=9)
    server.rule(rule_name="another", scope_value="acme", limit_value=9)
    page = visit(server.base_url)
    disable = page.get_by_role("button", name="Disable found")
    expect(page.get_by_role("button", name="Edit default-ip-second")).to_be_visible()
    expect(disable).to_be_hidden()
    page.get_by_label("Find a rule").fill("many")
    disable.click()
    question = page.get_by_role("dialog", name="Disable 3 rules?")
    expect(question).to_contain_text("many 0, many 1, many 2")
    page.keyboard.press("Escape")
    disable.click()
    question.get_by_role("button", name="Disable").click()
    expect(page.locator("tr", has_text="many").get_by_text("Off")).to_have_count(3)
    found = server.get(f"{server.home}/config?enabled=true&limit=200").json()["items"]
    names = [rule["rule_name"] for rule in found]
    assert "another" in names
    assert not any(name.startswith("many") for name in names)
    page.get_by_role("button", name="Enable found").click()
    page.get_by_role("dialog").get_by_role("button", name="Enable").click()
    expect(page.locator("tr", has_text="many").get_by_text("In force")).to_have_count(3)
