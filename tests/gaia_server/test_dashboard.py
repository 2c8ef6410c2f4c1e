"""The dashboard in a real browser, on a real server."""

import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect, sync_playwright

from gaia_checks.probes.browser import ARGUMENTS, executable
from gaia_server.dashboard import FOLDER, handlers
from tests.gaia_server.conftest import TOKEN, Running, Start, fresh_database, poll, servers

TABS = ("overview", "users", "analytics", "violations", "alerts", "health")
HOSTILE = "<img/src=x/onerror=document.title='owned'>"
NOTED = r"status of (401|422|429)"  # the browser itself notes each such answer
CUT = r"net::ERR_|WebSocket connection to .* failed"  # and each request without one


@dataclass
class Seen:
    """What a page did besides being looked at."""

    origin: str
    noted: re.Pattern[str]
    elsewhere: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Begin to listen: a violated policy is a console error, too."""
        page.on("request", lambda request: self._asked(request.url))
        page.on("websocket", lambda websocket: self._asked(websocket.url))
        page.on("console", lambda message: self._said(message.type, message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _asked(self, url: str) -> None:
        if urlsplit(url).netloc != urlsplit(self.origin).netloc:
            self.elsewhere.append(url)

    def _said(self, kind: str, text: str) -> None:
        if kind == "error" and not self.noted.search(text):
            self.errors.append(text)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests here."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=list(ARGUMENTS))
        yield browser
        browser.close()


def roomy(dsn: str) -> str:
    """Raise the default limits, so that a fast visitor does not meet them."""
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE rate_limit_configs SET limit_value = 100000")
    return dsn


def flood(server: Running, requests: int, key: str) -> None:
    """Send requests with a key that may send one an hour."""
    server.rule(scope_value=key, limit_value=1)
    with httpx.Client(headers={"X-API-Key": key}) as client:
        statuses = [client.get(f"{server.home}/usage").status_code for _ in range(requests)]
    assert statuses == [200] + [429] * (requests - 1)


@pytest.fixture(scope="module")
def server(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that has refused a client with a hostile name, shared by the tests here."""
    with (
        fresh_database(postgres, template) as dsn,
        servers(roomy(dsn), tmp_path_factory.mktemp("dashboard")) as start,
    ):
        running = start()
        flood(running, 4, HOSTILE)
        poll(lambda: httpx.get(f"{running.home}/analytics").json()["totals"]["denied"])  # written down every 2 s
        yield running


Visit = Callable[..., Page]


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """Open the dashboard of a server; in the end it must have made no error and asked nobody else."""
    seen: list[Seen] = []
    pages: list[Page] = []

    def visit(url: str, *, noted: str = NOTED, clock: bool = False) -> Page:
        page = chromium.new_page()
        pages.append(page)
        seen.append(Seen(url, re.compile(noted)))
        seen[-1].watch(page)
        if clock:
            page.clock.install()
        page.goto(f"{url}/admin/quotas")
        return page

    yield visit
    for page in pages:
        page.close()
    for one in seen:
        assert one.errors == []
        assert one.elsewhere == []


def connected(page: Page, **options: Any) -> None:
    """Wait until the page is live."""
    expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "connected", **options)


def test_six_tabs_show_data_on_a_desk_and_on_a_phone(server: Running, visit: Visit) -> None:
    """Every tab shows what happened, at any width, by mouse and by keyboard; what a client sent stays text."""
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


def test_decisions_are_drawn(server: Running, visit: Visit) -> None:
    """The chart's label tells the numbers that its bars draw."""
    page = visit(server.base_url)
    expect(page.get_by_role("img", name=re.compile(r"Allowed \d+, Denied [1-9]"))).to_be_visible()
    assert page.locator("#panel-overview canvas").count() == 1


def test_what_happens_is_seen_at_once(schema: str, start: Start, visit: Visit) -> None:
    """A denial and an alert appear by themselves, and the number of messages grows."""
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


def test_comes_back_after_its_connection_was_cut(server: Running, visit: Visit) -> None:
    """A page that lost its connection says so, and is live again once the server is there again."""
    with cuttable(server.base_url) as proxy:
        page = visit(proxy.url, noted=CUT)
        connected(page)
        proxy.cut()
        state = page.locator("[data-connection]")
        expect(state).to_have_attribute("data-connection", "reconnecting")
        expect(page.locator("#connection-wait")).to_have_text(re.compile(r"in \d+ s"))
        proxy.open = True
        connected(page, timeout=8000)
        page.locator("[data-tab=health]").click()
        expect(page.locator("#panel-health dt", has_text="Lost since opened").locator("+ dd")).to_have_text("1")


def test_asks_for_the_admin_token(start: Start, visit: Visit) -> None:
    """Without a session there is a login form and nothing else; the token ends up in no place a script can read."""
    page = visit(start(ADMIN_TOKEN=TOKEN).base_url)
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
    held = page.evaluate("document.cookie + location.href + JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "gaia_session" not in held
    assert TOKEN not in held + page.content()
    page.reload()
    connected(page)


def test_rules_are_made_changed_and_removed(server: Running, visit: Visit) -> None:
    """The form says beside a field what is wrong with it, and in a sentence what the rule would do."""
    page = visit(server.base_url)
    page.get_by_role("button", name="New rule").click()
    form = page.locator("#rule")
    form.get_by_label("Name").fill('"quoted"')
    form.get_by_role("button", name="Save rule").click()
    expect(page.locator("#wrong-rule_name")).to_contain_text("is not 1 to 100 letters")
    form.get_by_label("Name").fill("from the page")
    form.get_by_label("At most").fill("1200")
    form.get_by_label("Only for").fill("192.0.2.7")
    expect(page.locator("#rule-says")).to_have_text("At most 1,200 requests per minute for the address 192.0.2.7.")
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


def test_is_limited_politely(server: Running, visit: Visit) -> None:
    """A page that is refused says how long it waits, asks nothing meanwhile, and then shows its data."""
    page = visit(server.base_url, clock=True)
    connected(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    rule = server.rule(scope="ip", limit_type="requests_per_minute", limit_value=0, resource_type="usage")
    page.locator("[data-tab=users]").click()
    expect(page.locator("#notice")).to_contain_text("Asking again in 60 s")
    page.clock.run_for(50_000)
    assert asked.count("/api/admin/quotas/usage") == 1
    changed = {name: rule[name] for name in rule if name not in ("id", "created_at", "updated_at")}
    answer = httpx.put(f"{server.home}/config/{rule['id']}", json={**changed, "enabled": False})
    assert answer.status_code == 200
    page.clock.run_for(10_000)
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.locator("#panel-users tbody")).to_contain_text("ip:127.0.0.1")


@pytest.fixture
def scripted(chromium: Browser, server: Running) -> Iterator[Callable[[list[Any]], tuple[Page, list[str]]]]:
    """Open the page on a WebSocket that says what it is told to, and tell how often the page connected."""
    pages: list[Page] = []

    def scripted(script: list[Any]) -> tuple[Page, list[str]]:
        page = chromium.new_page()
        pages.append(page)
        connections: list[str] = []

        def serve(websocket: WebSocketRoute) -> None:
            connections.append(websocket.url)
            for step in script:
                if isinstance(step, int):
                    websocket.close(code=step)
                else:
                    websocket.send(step)

        page.route_web_socket("**/ws/admin/quotas", serve)
        page.clock.install()
        page.add_init_script("Math.random = () => 0.999")  # the longest waits
        page.goto(f"{server.base_url}/admin/quotas#alerts")
        return page, connections

    yield scripted
    for page in pages:
        page.close()


def heartbeat(seq: int) -> str:
    """A message."""
    return f'{{"type":"heartbeat","timestamp":"2026-02-26T10:00:00.000Z","data":{{"uptime_s":1}},"seq":{seq}}}'


def test_a_silent_connection_counts_as_lost(scripted: Any) -> None:
    """After 2.5 heartbeats of silence the page connects anew, not before."""
    page, connections = scripted([heartbeat(1)])
    connected(page)
    page.clock.run_for(20_000)
    assert len(connections) == 1
    connected(page)
    page.clock.run_for(7_000)
    assert len(connections) == 2
    connected(page)


def test_a_missing_message_counts_as_lost(scripted: Any) -> None:
    """A gap in the numbers makes the page connect anew."""
    page, connections = scripted([heartbeat(1), heartbeat(3)])
    expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "reconnecting")
    page.clock.run_for(1_100)
    assert len(connections) == 2


def test_a_refused_page_does_not_come_back(scripted: Any) -> None:
    """After a close code 44xx nobody connects until somebody asks to."""
    page, connections = scripted([4403])
    expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "offline")
    page.clock.run_for(120_000)
    assert len(connections) == 1
    page.get_by_role("button", name="Connect").click()
    expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "offline")
    assert len(connections) == 2


@pytest.mark.parametrize("code", [1001, 1012])
def test_a_server_that_leaves_is_back_soon(scripted: Any, code: int) -> None:
    """However often a server leaves, the page tries again within a second each time."""
    page, connections = scripted([code])
    for expected in (2, 3, 4):
        page.clock.run_for(1_100)
        assert len(connections) == expected


def test_pure_parts(server: Running, visit: Visit) -> None:
    """Keys are understood, minutes without a row are zeros, and waits grow to 30 s."""
    page = visit(server.base_url)
    assert _call(page, "filters", "keyOf", "192.0.2.7", "") == "ip:192.0.2.7"
    assert _call(page, "filters", "keyOf", "2001:db8::/64", "") == "ip:2001:db8::/64"
    assert _call(page, "filters", "keyOf", "user:ada", "ip") == "user:ada"
    assert _call(page, "filters", "keyOf", "ada", "user") == "user:ada"
    assert _call(page, "filters", "keyOf", "acme", "") == "api_key:acme"
    rows = [{"minute": "1970-01-01T00:02:00.000Z", "n": 3}, {"minute": "1970-01-01T00:03:00.000Z", "n": 4}]
    assert _call(page, "series", "perStep", rows, 4, ["n"], 1, 210_000) == [[0, 60, 120, 180], [0, 0, 3, 4]]
    assert _call(page, "series", "perStep", rows, 4, ["n"], 2, 210_000) == [[0, 120], [0, 7]]
    assert [_call(page, "live", "backoff", attempt, 1) for attempt in (0, 1, 4, 5, 50)] == [1e3, 2e3, 16e3, 3e4, 3e4]
    assert _call(page, "live", "backoff", 3, 0) == 0


def _call(page: Page, module: str, name: str, *arguments: Any) -> Any:
    script = f"async (given) => (await import('/admin/assets/{module}.js')).{name}(...given)"
    return page.evaluate(script, list(arguments))


def test_vendored_files_are_what_they_say() -> None:
    """Every vendored script and style has the checksum that stands beside it."""
    vendor = FOLDER / "vendor"
    said = dict(
        line.split("  ")[::-1] for line in (vendor / "README.txt").read_text().splitlines() if "  uPlot" in line
    )
    assert said == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in vendor.iterdir()
        if path.suffix in (".js", ".css")
    }


def test_a_file_is_asked_for_again_but_not_sent_again(server: Running) -> None:
    """An unchanged file answers 304; every file forbids scripts and styles that are not the server's."""
    with httpx.Client(base_url=server.base_url) as client:
        for path in handlers():
            answer = client.get(path)
            assert answer.status_code == 200
            assert "script-src 'self'; style-src 'self'" in answer.headers["content-security-policy"]
            again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")


# A proxy whose connections can be cut


@dataclass
class Proxy:
    """Stands before a server; refuses everybody while it is not open."""

    listener: socket.socket
    server: tuple[str, int]
    open: bool = True
    connections: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def cut(self) -> None:
        """Cut all connections and let no new one through."""
        self.open = False
        for connection in self.connections:
            _shut(connection)

    def run(self) -> None:
        """Forward until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                if self.open:
                    self._forward(client)
                else:
                    client.close()

    def _forward(self, client: socket.socket) -> None:
        server = socket.create_connection(self.server)
        self.connections += [client, server]
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    _shut(target)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def cuttable(url: str) -> Iterator[Proxy]:
    """Run a proxy before the server at `url`."""
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    proxy = Proxy(socket.create_server(("127.0.0.1", 0)), (address.hostname, address.port))
    thread = threading.Thread(target=proxy.run)
    thread.start()
    try:
        yield proxy
    finally:
        _shut(proxy.listener)
        proxy.listener.close()
        thread.join(5)
        for connection in proxy.connections:
            connection.close()
