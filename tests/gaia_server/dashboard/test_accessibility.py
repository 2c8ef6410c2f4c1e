"""Everybody can use the page: axe-core finds no fault in a tab or dialog, and the keyboard reaches everything."""

import re
from typing import Any

import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.gaia_server.conftest import Running, Start, poll
from tests.gaia_server.dashboard.conftest import TABS, Visit, connected, roomy

SCHEMES = ("light", "dark")
SIZES = ({"width": 1280, "height": 900}, {"width": 390, "height": 844})
CONTROLS = "button:enabled, input:enabled, select:enabled, a[href], [tabindex='0']"
"""What a person operates, except for the tabs that are not chosen: the arrow keys reach these."""


@pytest.fixture
def busy(schema: str, start: Start) -> Running:
    """A server with long lists, with names of 200 characters, in Arabic and with emoji, and with alerts."""
    roomy(schema)
    own = start()
    rule = own.rule(rule_name="n" * 100, scope="user", limit_type="daily_quota", limit_value=20)
    with psycopg.connect(schema) as connection:
        connection.execute(
            "INSERT INTO rate_limit_violations (rule_id, key, resource_type, occurred_at, last_at, hits)"
            " SELECT %(id)s, key, 'other', at, at, 3 FROM (SELECT 'user:' || (ARRAY[repeat('x', 200), 'مستخدم', '😀'])"
            "  [1 + n %% 3] || n AS key, now() - make_interval(secs => n) AS at FROM generate_series(1, 60) AS n) AS r",
            rule,
        )
        connection.execute(
            "INSERT INTO resource_quotas (key, rule_id, period_start, used, last_at)"
            " SELECT DISTINCT key, rule_id, rate_limit_period_start('daily_quota', now()), 20, now()"
            " FROM rate_limit_violations",
        )
        connection.execute("INSERT INTO reputation_scores (key) VALUES ('user:ada')")
        connection.execute(
            "INSERT INTO reputation_events (key, kind, change, reason, occurred_at)"
            " SELECT 'user:ada', 'manual', 1, repeat('why ', 40), now() FROM generate_series(1, 9)",
        )
        connection.execute(
            "INSERT INTO rate_limit_alerts"
            " (name, severity, says, threshold, value, fired_at, resolved_value, resolved_at)"
            " VALUES ('past', 'warning', 'is over', 1, 2, now() - interval '1 hour', 0, now())"
        )
        connection.execute(
            "INSERT INTO rate_limit_alert_notifications (alert_id, state, target, next_attempt_at, failure)"
            " SELECT id, 'firing', 1, NULL, 'connection refused' FROM rate_limit_alerts"
        )
    for name, severity in (("fires", "critical"), ("taken", "info")):
        body = {"name": name, "metric": "memory_mb", "threshold": 1, "severity": severity}
        rule_id = own.request("POST", f"{own.home}/alerts/rules", json=body).json()["id"]
    own.request("POST", f"{own.home}/alerts/rules/{rule_id}/mute", json={"for_s": 3600})
    firing = f"{own.home}/alerts?state=firing"
    poll(lambda: {"fires", "taken"} <= {item["name"] for item in own.get(firing).json()["items"]})
    taken = own.get(f"{firing}&severity=info").json()["items"][0]["id"]
    own.request("POST", f"{own.home}/alerts/{taken}/acknowledge", json={"by": "مريم"})
    return own


def _wrong(page: Page, what: str) -> list[str]:
    """Return what axe-core finds on the page, in light and dark, wide and narrow."""
    found = []
    for size in SIZES:
        page.set_viewport_size(size)  # type: ignore[arg-type]
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            faults: list[dict[str, Any]] = Axe().run(page).response["violations"]
            found += [
                f"{what}, {scheme}, {size['width']} px: {fault['id']} ({fault['impact']}) at {node['target']}"
                for fault in faults
                for node in fault["nodes"]
            ]
    page.set_viewport_size(SIZES[0])  # type: ignore[arg-type]
    return found


def test_axe_finds_no_fault_in_a_tab(busy: Running, visit: Visit) -> None:
    """Every tab with its data: contrast, names, roles, landmarks, and scrolling by keyboard."""
    page = visit(busy.base_url)
    connected(page)
    wrong = []
    for name in TABS:
        page.locator(f"[data-tab={name}]").click()
        expect(page.locator(f"#panel-{name}")).to_have_attribute("aria-busy", "false")
        wrong += _wrong(page, name)
    assert wrong == []


def test_axe_finds_no_fault_in_a_dialog(busy: Running, visit: Visit) -> None:
    """Every dialog, also with its errors."""
    page = visit(busy.base_url, signed_in=False)
    wrong = _wrong(page, "login")
    page.get_by_label("Admin token").fill(busy.token)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="New rule").click()
    page.get_by_role("button", name="Save rule").click()
    expect(page.locator("#wrong-rule_name")).to_be_visible()
    wrong += _wrong(page, "rule")
    page.keyboard.press("Escape")
    page.get_by_role("button", name=re.compile("^Delete")).first.click()
    wrong += _wrong(page, "confirm")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Import").click()
    for name, shown in (("imported", "#import-changes"), ("wrong!", "#import-problem")):
        rules = f"rule_name,scope,limit_type,limit_value\n{name},user,daily_quota,1\n"
        file = {"name": "rules.csv", "mimeType": "text/csv", "buffer": rules.encode()}
        page.get_by_label("CSV or JSON").set_input_files(file)  # type: ignore[arg-type]
        expect(page.locator(shown)).to_be_visible()
        wrong += _wrong(page, f"import {name}")
    page.keyboard.press("Escape")
    page.locator("[data-tab=alerts]").click()
    page.get_by_role("button", name="New alert rule").click()
    page.get_by_role("button", name="Save alert rule").click()
    expect(page.locator("#wrong-name")).to_be_visible()
    wrong += _wrong(page, "alert rule")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Mute fires").click()
    page.get_by_label("Or until").fill("2020-01-01T10:00")
    page.get_by_role("button", name="Mute until then").click()
    expect(page.locator("#mute-problem")).to_be_visible()
    wrong += _wrong(page, "mute")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Acknowledge fires").first.click()
    page.get_by_role("button", name="Acknowledge", exact=True).click()
    expect(page.locator("#acknowledge-problem")).to_be_visible()
    wrong += _wrong(page, "acknowledge")
    page.keyboard.press("Escape")
    page.locator("[data-tab=users]").click()
    page.get_by_role("searchbox", name="User").fill("ada")
    page.get_by_role("button", name="Open user").click()
    expect(page.locator("#user-events").get_by_role("listitem")).to_have_count(5)
    wrong += _wrong(page, "user")
    assert wrong == []


def test_the_keyboard_reaches_every_control(busy: Running, visit: Visit) -> None:
    """The tab key visits everything that can be operated on a tab, and comes round again."""
    page = visit(busy.base_url)
    connected(page)
    for name in TABS:
        page.locator(f"[data-tab={name}]").click()
        expect(page.locator(f"#panel-{name}")).to_have_attribute("aria-busy", "false")
        missed = _unreached(page)
        assert missed == [], name


def _unreached(page: Page) -> list[str]:
    """Press the tab key once for each visible control; return those that never had the focus."""
    count: int = page.evaluate(
        """(controls) => {
            window.visited = new Set();
            document.addEventListener("focusin", ({ target }) => window.visited.add(target));
            window.wanted = () => [...document.querySelectorAll(controls)].filter((one) => one.checkVisibility());
            return window.wanted().length;
        }""",
        CONTROLS,
    )
    for _ in range(count + 10):  # a list may have grown
        page.keyboard.press("Tab")
    missed: list[str] = page.evaluate(
        """() => window.wanted()
            .filter((one) => one.tabIndex >= 0 && !window.visited.has(one) && one !== document.activeElement)
            .map((one) => one.outerHTML.slice(0, 120))"""
    )
    return missed
