"""The live connection: lost, silent, refused and restored."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from gaia_checks.probes.dashboard import tcp_proxy
from tests.gaia_server.conftest import Running, fresh_database, poll, servers
from tests.gaia_server.dashboard.conftest import Visit, connected, flood, roomy, sign_in

CUT = r"net::ERR_|WebSocket connection to .* failed"  # the browser logs each failed request itself


def test_reconnects_after_its_connection_was_cut(server: Running, visit: Visit) -> None:
    """A page that lost its connection shows it, and reconnects once the server is reachable again."""
    with tcp_proxy.line("127.0.0.1", server.port) as line:
        page = visit(f"http://127.0.0.1:{line.port}", noted=CUT)
        connected(page)
        page.set_viewport_size({"width": 390, "height": 500})
        page.mouse.wheel(0, 3000)
        page.wait_for_function("scrollY > 0")
        height = page.evaluate("document.documentElement.scrollHeight")
        line.cut()
        state = page.locator("[data-connection]")
        expect(state).to_have_attribute("data-connection", "reconnecting")
        expect(page.locator("#connection-wait")).to_have_text(re.compile(r"in \d+ s"))
        for part in ("#connection-text", "#lost"):
            expect(page.locator(part)).to_be_in_viewport()
        expect(page.locator("#lost")).to_contain_text("No live connection since")
        assert page.evaluate("document.documentElement.scrollHeight") == height
        line.restore()
        connected(page, timeout=8000)
        expect(page.locator("#lost")).to_be_hidden()
        page.locator("[data-tab=health]").click()
        expect(page.locator("#panel-health dt", has_text="Lost since opened").locator("+ dd")).to_have_text("1")


def test_shows_what_it_missed_during_a_restart(postgres: str, template: str, tmp_path: Path, visit: Visit) -> None:
    """After a kill the page is sent the violations and the alert that it missed, and shows each once."""
    with fresh_database(postgres, template) as dsn, servers(roomy(dsn), tmp_path) as start:
        first, other = start(), start()
        page = visit(first.base_url, noted=CUT)
        connected(page)
        page.locator("[data-tab=health]").click()  # the overview, hidden, has nothing but what it is sent
        flood(first, 4, "before")
        poll(lambda: denied(page) == {"api_key:before": 3})
        first.process.kill()
        first.process.wait()
        flood(other, 6, "missed")
        with psycopg.connect(dsn) as connection:
            connection.execute("UPDATE rate_limit_violations SET hits = hits + 100 WHERE key = 'api_key:missed'")
            expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "reconnecting")
        poll(lambda: other.get(f"{other.home}/alerts").json()["items"])
        start(first.port)
        connected(page, timeout=30_000)
        expected = stored(dsn)
        assert set(expected) == {"api_key:before", "api_key:missed"}
        poll(lambda: denied(page) == expected)
        expect(page.locator("#announce")).to_contain_text("Alert firing")
        page.locator("[data-tab=overview]").click()
        expect(page.locator("#panel-overview")).to_have_attribute("aria-busy", "false")
        flood(other, 3, "after")
        poll(lambda: denied(page) == stored(dsn))
        page.locator("[data-tab=alerts]").click()
        expect(page.get_by_role("table", name="Firing now").locator("tbody tr")).to_have_count(1)


def denied(page: Page) -> dict[str, int]:
    """Return how many denials of each key the overview lists."""
    found: Counter[str] = Counter()
    items = page.locator("#panel-overview .feed li").evaluate_all(
        "items => items.map((item) => [item.children[1].textContent, item.querySelector('b').textContent])"
    )
    for key, hits in items:
        found[key] += int(hits.removesuffix("×"))
    return dict(found)


def stored(dsn: str) -> dict[str, int]:
    """Return how many denials of each key the database has."""
    with psycopg.connect(dsn) as connection:
        return dict(connection.execute("SELECT key, sum(hits)::int FROM rate_limit_violations GROUP BY key").fetchall())


@pytest.fixture
def scripted(chromium: Browser, server: Running) -> Iterator[Callable[[list[Any]], tuple[Page, list[str]]]]:
    """Open the page on a scripted WebSocket; return the page and its connections."""
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

        page.route_web_socket("**/ws/admin/quotas?since=*", serve)
        page.clock.install()
        page.add_init_script("Math.random = () => 0.999")  # the longest waits
        sign_in(page, server.base_url)
        page.goto(f"{server.base_url}/admin/quotas#alerts")
        return page, connections

    yield scripted
    for page in pages:
        page.close()


def heartbeat(seq: int) -> str:
    """Return a heartbeat message."""
    return f'{{"type":"heartbeat","timestamp":"2026-02-26T10:00:00.000Z","data":{{"uptime_s":1}},"seq":{seq}}}'


def test_a_silent_connection_counts_as_lost(scripted: Any) -> None:
    """After 2.5 heartbeats of silence the page reconnects, not before."""
    page, connections = scripted([heartbeat(1)])
    connected(page)
    page.clock.run_for(20_000)
    assert len(connections) == 1
    connected(page)
    page.clock.run_for(7_000)
    assert len(connections) == 2
    connected(page)


def test_a_missing_message_counts_as_lost(scripted: Any) -> None:
    """A gap in the sequence numbers makes the page reconnect."""
    page, connections = scripted([heartbeat(1), heartbeat(3)])
    expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "reconnecting")
    page.clock.run_for(1_100)
    assert len(connections) == 2


def test_a_refused_page_does_not_reconnect(scripted: Any) -> None:
    """After a close code 44xx the page reconnects only on request."""
    page, connections = scripted([4403])
    expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "offline")
    page.clock.run_for(120_000)
    assert len(connections) == 1
    page.get_by_role("button", name="Connect").click()
    expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "offline")
    assert len(connections) == 2


@pytest.mark.parametrize("code", [1001, 1012])
def test_reconnects_soon_after_a_server_stops(scripted: Any, code: int) -> None:
    """Each time a server stops, the page retries within a second."""
    page, connections = scripted([code])
    for expected in (2, 3, 4):
        page.clock.run_for(1_100)
        assert len(connections) == expected
