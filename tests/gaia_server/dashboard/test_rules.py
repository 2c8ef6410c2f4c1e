"""The table of rules: found, copied and changed many at a time."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

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


def test_rules_are_sorted_by_a_column(server: Running, visit: Visit) -> None:
    """A heading sorts, sorts the other way round, and gives the list's own order back; a reload keeps that."""
    for name, limit in (("sorted b", 2), ("sorted c", 30), ("sorted a", 100)):
        server.rule(rule_name=name, limit_value=limit, enabled=False)
    page = visit(server.base_url)
    page.get_by_label("Find a rule").fill("sorted")
    names = page.get_by_role("table", name="Rate limit configuration").locator("tbody td:first-child")
    expect(names).to_have_text(["sorted b", "sorted c", "sorted a"])
    page.get_by_role("button", name="Rule", exact=True).click()
    expect(names).to_have_text(["sorted a", "sorted b", "sorted c"])
    page.get_by_role("button", name="Limit", exact=True).click()
    expect(names).to_have_text(["sorted b", "sorted c", "sorted a"])
    page.get_by_role("button", name="Limit", exact=True).click()
    expect(names).to_have_text(["sorted a", "sorted c", "sorted b"])
    page.reload()
    expect(names).to_have_text(["sorted a", "sorted c", "sorted b"])
    expect(page.get_by_role("columnheader", name="Limit")).to_have_attribute("aria-sort", "descending")
    page.get_by_role("button", name="Limit", exact=True).click()
    expect(names).to_have_text(["sorted b", "sorted c", "sorted a"])


def _export(page: Page, kind: str) -> Path:
    with page.expect_download() as download:
        page.locator("#panel-overview").get_by_role("button", name=f"Export {kind}").click()
    return download.value.path()


def _choose(page: Page, name: str, content: str) -> None:
    page.get_by_label("CSV or JSON").set_input_files(
        {"name": name, "mimeType": "text/plain", "buffer": content.encode()}
    )


@pytest.mark.parametrize("kind", ["CSV", "JSON"])
def test_exported_rules_are_imported_again(server: Running, visit: Visit, kind: str) -> None:
    """An export changes nothing; edited, it shows what would change, changes nothing before, and then all of it."""
    word = f"exported {kind}"
    for number in (1, 2):
        server.rule(rule_name=f"{word} {number}", scope_value='a,"b"', limit_value=411, enabled=False)
    page = visit(server.base_url)
    page.get_by_label("Find a rule").fill(word)
    rows = page.get_by_role("table", name="Rate limit configuration").locator("tbody tr")
    expect(rows).to_have_count(2)
    content = _export(page, kind).read_text()
    page.get_by_role("button", name="Import").click()
    dialog = page.locator("#import")
    _choose(page, f"rules.{kind.lower()}", content)
    expect(page.locator("#import-summary")).to_have_text("0 new, 0 changed, 2 as they are.")
    expect(dialog.get_by_role("button", name="Apply")).to_be_disabled()
    _choose(page, f"rules.{kind.lower()}", content.replace("411", "412").replace(f"{word} 2", f"{word} 3"))
    expect(page.locator("#import-summary")).to_have_text("1 new, 1 changed, 0 as they are.")
    changes = dialog.get_by_role("table", name="What would change").locator("tbody tr")
    expect(changes).to_have_text([re.compile(f"{word} 3New–At most 412"), re.compile("Changed.*411.*At most 412")])
    expect(rows).to_have_count(2)
    dialog.get_by_role("button", name="Apply").click()
    expect(dialog).to_be_hidden()
    expect(rows).to_have_text([re.compile("412 per hour"), re.compile("411 per hour"), re.compile("412 per hour")])


def test_an_import_names_every_error_by_its_line(server: Running, visit: Visit) -> None:
    """Nothing of a file with an error is applied; a file that is none, or has no heading, is named as such."""
    page = visit(server.base_url)
    page.get_by_role("button", name="Import").click()
    problem, apply = page.locator("#import-problem"), page.locator("#import").get_by_role("button", name="Apply")
    heading = "rule_name,scope,scope_value,limit_type,limit_value\n"
    good = "fine,user,,requests_per_hour,5\n"
    _choose(page, "a.csv", f'{heading}{good}\n"two\nlines",user,,requests_per_hour,5\nx,user,,per_hour,-1\n{good}')
    for error in (
        r"Line 2 \(fine\): rule_name is given more than once",
        r"Line 4 \(two\nlines\): rule_name is not",
        r"Line 6 \(x\): limit_type is not",
        r"Line 6 \(x\): limit_value is not",
        r"Line 7 \(fine\): rule_name is given more than once",
    ):
        expect(problem).to_contain_text(re.compile(error))
    expect(apply).to_be_disabled()
    for content, error in (
        ("name,limit\n", "Line 1 is not a heading of rules: name, limit."),
        (f"{heading}fine,user\n", "Line 2 has 2 cells, not 5 as the heading."),
        ('{"rules": 1}', "The file has no list of rules"),
        ('{"rules": [', "The file is not JSON"),
        ('{"rules": [{"rule_name": "one"}]}', "Rule 1 (one): scope is missing"),
    ):
        _choose(page, "b", content)
        expect(problem).to_contain_text(error)
        expect(apply).to_be_disabled()
    assert server.get(f"{server.home}/config?rule_name=fine").json()["total"] == 0


def test_an_import_that_is_out_of_date_is_previewed_again(server: Running, visit: Visit) -> None:
    """What another administrator changed since the file was chosen is shown before anything is applied."""
    page = visit(server.base_url)
    page.get_by_role("button", name="Import").click()
    new = {"rule_name": "late", "scope": "user", "limit_type": "daily_quota", "limit_value": 5, "enabled": False}
    _choose(page, "rules.json", json.dumps([new]))
    dialog, summary = page.locator("#import"), page.locator("#import-summary")
    expect(summary).to_have_text("1 new, 0 changed, 0 as they are.")
    server.rule(**{**new, "limit_value": 9})
    dialog.get_by_role("button", name="Apply").click()
    expect(page.locator("#import-problem")).to_contain_text("changed meanwhile")
    expect(summary).to_have_text("0 new, 1 changed, 0 as they are.")
    dialog.get_by_role("button", name="Apply").click()
    expect(dialog).to_be_hidden()
    assert server.get(f"{server.home}/config?rule_name=late").json()["items"][0]["limit_value"] == 5


def test_a_lower_limit_shows_what_it_would_have_denied(server: Running, visit: Visit) -> None:
    """While one types: how many of the requests that the rule has just admitted would not have been."""
    rule = server.rule(rule_name="previewed", scope="api_key", limit_type="daily_quota", limit_value=50)
    key = server.rule(scope_value="previewed-key", limit_value=50)["scope_value"]
    for _ in range(7):
        assert server.get(f"{server.home}/usage", headers={"X-API-Key": key}).status_code == 200
    page = visit(server.base_url)
    page.get_by_label("Find a rule").fill("previewed")
    page.get_by_role("button", name="Edit previewed", exact=True).click()
    form, preview = page.locator("#rule"), page.locator("#rule-preview")
    expect(preview).to_be_hidden()
    form.get_by_label("At most").fill("4")
    expect(preview).to_contain_text(re.compile(r"allowed \d+ requests of \d+ clients?; .* at least [1-9]\d*, of [1-9]"))
    form.get_by_label("At most").fill("49")
    expect(preview).to_contain_text("none is known that this limit would have denied")
    form.get_by_label("At most").fill(str(rule["limit_value"]))
    expect(preview).to_be_hidden()
