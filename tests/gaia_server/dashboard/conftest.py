"""A browser, a server with data to show, and pages that must cause no error."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from gaia_checks.probes.dashboard.browser import launched
from gaia_server.auth import COOKIE, Access
from tests.gaia_server.conftest import TOKEN, Running, fresh_database, poll, servers

TABS = ("overview", "users", "analytics", "violations", "alerts", "health")
HOSTILE = "<img/src=x/onerror=document.title='owned'>"
NOTED = r"status of (401|409|412|422|429)"  # the browser logs each such response itself


@dataclass
class PageLog:
    """A page's errors and its requests to other origins."""

    origin: str
    noted: re.Pattern[str]
    elsewhere: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Start recording: a policy violation is a console error, too."""
        page.on("request", lambda request: self._on_request(request.url))
        page.on("websocket", lambda websocket: self._on_request(websocket.url))
        page.on("console", lambda message: self._on_console(message.type, message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _on_request(self, url: str) -> None:
        if urlsplit(url).netloc != urlsplit(self.origin).netloc:
            self.elsewhere.append(url)

    def _on_console(self, kind: str, text: str) -> None:
        if kind == "error" and not self.noted.search(text):
            self.errors.append(text)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of this package; it is closed with them, because a process can drive one at a time."""
    with launched() as browser:
        yield browser


def roomy(dsn: str) -> str:
    """Raise the default limits, so that a fast browser does not reach them."""
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE rate_limit_configs SET limit_value = 100000")
    return dsn


def flood(server: Running, requests: int, key: str) -> None:
    """Send requests with a key that may send one an hour."""
    server.rule(scope_value=key, limit_value=1)
    with httpx.Client(headers={**server.bearer, "X-API-Key": key}) as client:
        statuses = [client.get(f"{server.home}/usage").status_code for _ in range(requests)]
    assert statuses == [200] + [429] * (requests - 1)


@pytest.fixture(scope="package")
def server(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that has refused a client with a hostile name, shared by the tests of this package."""
    with (
        fresh_database(postgres, template) as dsn,
        servers(roomy(dsn), tmp_path_factory.mktemp("dashboard")) as start,
    ):
        running = start()
        flood(running, 4, HOSTILE)
        poll(lambda: running.get(f"{running.home}/analytics").json()["totals"]["denied"])  # stored every 2 s
        yield running


def sign_in(page: Page, url: str) -> None:
    """Give the page the session of an administrator."""
    page.context.add_cookies([{"name": COOKIE, "value": Access(TOKEN).session(time.time()), "url": url}])


Visit = Callable[..., Page]


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """Open the dashboard of a server; at the end it must have no error and no request to another origin."""
    logs: list[PageLog] = []
    pages: list[Page] = []

    def visit(url: str, *, noted: str = NOTED, clock: bool = False, signed_in: bool = True, zone: str = "UTC") -> Page:
        page = chromium.new_page(timezone_id=zone)
        pages.append(page)
        if signed_in:
            sign_in(page, url)
        logs.append(PageLog(url, re.compile(noted)))
        logs[-1].watch(page)
        if clock:
            page.clock.install()
        page.goto(f"{url}/admin/quotas")
        return page

    yield visit
    for page in pages:
        page.close()
    for one in logs:
        assert one.errors == []
        assert one.elsewhere == []


def connected(page: Page, **options: Any) -> None:
    """Wait until the page is connected."""
    expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "connected", **options)
