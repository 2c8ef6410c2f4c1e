"""The page: its tabs, its login, its rate limiting, its files."""

import hashlib
import re
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
from playwright.sync_api import Page, expect

from gaia_server.dashboard import FOLDER, handlers
from tests.gaia_server.conftest import TOKEN, Running, Start
from tests.gaia_server.dashboard.conftest import HOSTILE, TABS, Visit, connected


def test_six_tabs_show_data_on_a_desk_and_on_a_phone(server: Running, visit: Visit) -> None:
    """Every tab shows its data, at any width, by mouse and by keyboard; text of clients is never markup."""
    page = visit(server.base_url)
    connected(page)
    panels = {name: page.locator(f"#panel-{name}") for name in TABS}
    expected = {
        "overview": ("Rate limit configuration", "default-ip-second", f"api_key:{HOSTILE}"),
        "users": (f"api_key:{HOSTILE}", "1 per hour"),
        "analytics": (f"api_key:{HOSTILE}", "Denial rate"),
        "violations": (f"api_key:{HOSTILE}", "1 per hour"),
        "alerts": ("All quiet", "violations_per_minute"),
        "health": ("Healthy", "Connected", "CLAUDE_CONFIRM_AI_ENABLED"),
    }
    page.locator("[data-tab=overview]").focus()
    for name in TABS:
        expect(page.locator(f"[role=tab][data-tab={name}]")).to_have_attribute("aria-selected", "true")
        for text in expected[name]:
            expect(panels[name].get_by_text(text).first).to_be_visible()
        expect(panels[name]).to_have_attribute("aria-busy", "false")
        assert [other for other in TABS if panels[other].is_visible()] == [name]
        page.keyboard.press("ArrowRight")
    expect(panels["overview"]).to_be_visible()
    assert page.locator("main img").count() == 0
    assert page.title() == "Quotas · gaia_server"

    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme="dark")
    for name in TABS:
        page.locator(f"[data-tab={name}]").click()
        expect(panels[name].get_by_text(expected[name][0]).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 360, name


def test_requires_the_admin_token(start: Start, visit: Visit) -> None:
    """Without a session the page shows only a login form; no script can read the token afterwards."""
    page = visit(start().base_url, signed_in=False)
    expect(page.locator("#login")).to_be_visible()
    expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "offline")
    page.get_by_label("Admin token").fill("not-the-token")
    page.keyboard.press("Enter")
    expect(page.locator("#login-problem")).to_have_text("This is not the admin token.")
    page.get_by_label("Admin token").fill(TOKEN)
    page.keyboard.press("Enter")
    connected(page)
    expect(page.locator("#login")).to_be_hidden()
    expect(page.get_by_text("default-ip-second").first).to_be_visible()
    storage = page.evaluate(
        "document.cookie + location.href + JSON.stringify([{...localStorage}, {...sessionStorage}])"
    )
    assert "gaia_session" not in storage
    assert TOKEN not in storage + page.content()
    page.reload()
    connected(page)


def test_respects_its_own_rate_limit(server: Running, visit: Visit) -> None:
    """A page that is refused shows the wait, sends nothing meanwhile, and then shows its data."""
    page = visit(server.base_url, clock=True)
    connected(page)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(urlsplit(request.url).path))
    rule = server.rule(scope="ip", limit_type="requests_per_minute", limit_value=0, resource_type="usage")
    page.locator("[data-tab=users]").click()
    expect(page.locator("#notice")).to_contain_text("Retrying in 60 s")
    page.clock.run_for(50_000)
    assert requests.count("/api/admin/quotas/usage") == 1
    changed = {name: rule[name] for name in rule if name not in ("id", "created_at", "updated_at")}
    answer = server.request("PUT", f"{server.home}/config/{rule['id']}", json={**changed, "enabled": False})
    assert answer.status_code == 200
    page.clock.run_for(10_000)
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.get_by_role("table", name="Use of each limit")).to_contain_text("ip:127.0.0.1")


def test_reload_and_back_keep_tab_filter_and_page(server: Running, visit: Visit) -> None:
    """The address contains the tab, its filters and its page; a person's link shows the same."""
    rule = server.rule(scope="session", limit_value=1, enabled=False)
    with psycopg.connect(server.dsn) as connection:
        connection.execute(
            "INSERT INTO rate_limit_violations (rule_id, key, resource_type, occurred_at, last_at)"
            " SELECT %s, 'session:linked', 'other', at, at"
            " FROM (SELECT now() - make_interval(mins => m) AS at FROM generate_series(60, 89) AS m) AS times",
            (rule["id"],),
        )
    page = visit(server.base_url)
    page.locator("[data-tab=violations]").click()
    panel = page.locator("#panel-violations")
    panel.get_by_label("Kind of key").select_option("session")
    expect(panel.get_by_text("1–25 of 30")).to_be_visible()
    panel.get_by_role("button", name="Next").click()
    expect(panel.get_by_text("26–30 of 30")).to_be_visible()
    expect(page).to_have_url(re.compile(r"#violations\?kind=session&page=2$"))
    page.reload()
    expect(panel.get_by_text("26–30 of 30")).to_be_visible()
    expect(panel.get_by_label("Kind of key")).to_have_value("session")
    page.locator("[data-tab=analytics]").click()
    page.locator("#panel-analytics").get_by_label("Time").select_option("1440")
    expect(page).to_have_url(re.compile(r"#analytics\?time=1440&per=hour$"))
    page.locator("[data-tab=violations]").click()
    expect(panel.get_by_text("26–30 of 30")).to_be_visible()
    for _ in range(2):
        page.go_back()
    expect(page.locator("#panel-analytics").get_by_label("Time")).to_have_value("60")
    page.go_back()
    expect(panel.get_by_text("26–30 of 30")).to_be_visible()
    page.go_back()
    expect(panel.get_by_text("1–25 of 30")).to_be_visible()


def test_pure_parts(server: Running, visit: Visit) -> None:
    """Keys are parsed, minutes without a row are zeros, time axes have a minimum, and waits grow to 30 s."""
    page = visit(server.base_url)
    assert _call(page, "filters", "keyOf", "192.0.2.7", "") == "ip:192.0.2.7"
    assert _call(page, "filters", "keyOf", "2001:db8::/64", "") == "ip:2001:db8::/64"
    assert _call(page, "filters", "keyOf", "user:ada", "ip") == "user:ada"
    assert _call(page, "filters", "keyOf", "ada", "user") == "user:ada"
    assert _call(page, "filters", "keyOf", "acme", "") == "api_key:acme"
    rows = [{"start": "1970-01-01T00:02:00.000Z", "n": 3}, {"start": "1970-01-01T00:03:00.000Z", "n": 4}]
    assert _call(page, "series", "perStep", rows, 4, ["n"], 1, 210_000) == [[0, 60, 120, 180], [0, 0, 3, 4]]
    assert _call(page, "series", "perStep", rows, 4, ["n"], 2, 210_000) == [[0, 120], [0, 7]]
    assert _call(page, "charts", "span", [500]) == [440, 500]
    assert _call(page, "charts", "span", [100, 400, 500], 100) == [100, 600]
    assert _call(page, "charts", "span", []) == [None, None]
    assert [_call(page, "live", "backoff", attempt, 1) for attempt in (0, 1, 4, 5, 50)] == [1e3, 2e3, 16e3, 3e4, 3e4]
    assert _call(page, "live", "backoff", 3, 0) == 0


def _call(page: Page, module: str, name: str, *arguments: Any) -> Any:
    script = f"async (given) => (await import('/admin/assets/{module}.js')).{name}(...given)"
    return page.evaluate(script, list(arguments))


def test_vendored_files_match_their_checksums() -> None:
    """Every vendored script and style has the checksum in README.txt."""
    vendor = FOLDER / "vendor"
    documented = dict(
        line.split("  ")[::-1] for line in (vendor / "README.txt").read_text().splitlines() if "  uPlot" in line
    )
    assert documented == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in vendor.iterdir()
        if path.suffix in (".js", ".css")
    }


def test_an_unchanged_file_is_not_sent_again(server: Running) -> None:
    """An unchanged file is answered with 304; every file's policy allows only the server's scripts and styles."""
    with httpx.Client(base_url=server.base_url) as client:
        for path in handlers():
            answer = client.get(path)
            assert answer.status_code == 200
            assert "script-src 'self'; style-src 'self'" in answer.headers["content-security-policy"]
            again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
