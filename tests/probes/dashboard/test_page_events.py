"""A page's faults are recorded and named; deliberate outages are not."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page

from gaia_checks.probes.dashboard import browser
from gaia_checks.probes.dashboard.page_events import PageEvents
from tests.probes.servers import TOKEN, answering, serving


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser that reaches only this machine."""
    with browser.launched("--host-resolver-rules=MAP *.example ~NOTFOUND") as chromium:
        yield chromium


@contextmanager
def visited(chromium: Browser, script: str) -> Iterator[tuple[PageEvents, Page]]:
    """Load a page with this script, record its events, and wait until the script has finished."""
    html = f"<script type=module>try {{ {script} }} finally {{ document.title = 'ended' }}</script>"
    served = (answering("/", html, media="text/html"), answering("/secret", {}, 401), answering("/right", {}))
    with serving(*served) as url:
        page = chromium.new_page()
        events = PageEvents(url, TOKEN)
        events.watch(page)
        page.goto(url)
        page.wait_for_function("document.title === 'ended'")
        yield events, page
        page.close()


@pytest.mark.parametrize(
    ("script", "wrong"),
    [
        ("await fetch('/right')", []),
        ("console.warn('hm'); console.log('fine')", []),
        ("console.error('not fine')", ["console: not fine"]),
        ("undefinedFunction()", ["script error: undefinedFunction is not defined"]),
        ("await fetch('/missing?with=more')", ["GET /missing answered 404"]),
        (
            "await fetch('http://elsewhere.example/').catch(() => 0)",
            [
                "sends a request to another host: http://elsewhere.example",
                "GET / got no answer: net::ERR_NAME_NOT_RESOLVED",
            ],
        ),
        (
            "new WebSocket('ws://elsewhere.example/'); await new Promise((wake) => setTimeout(wake, 200))",
            ["sends a request to another host: ws://elsewhere.example"],
        ),
        (f"await fetch('/right?token={TOKEN}')", ["the admin token is in the address of a request: /right"]),
    ],
)
def test_what_is_wrong_is_named(chromium: Browser, script: str, wrong: list[str]) -> None:
    """Script errors, failed answers, other hosts and the token in a URL are faults; nothing else."""
    with visited(chromium, script) as (events, _):
        assert events.wrong == wrong
        assert events.requests >= 1


def test_a_401_is_how_a_page_learns_that_it_must_sign_in(chromium: Browser) -> None:
    """After the sign-in a 401 is a fault."""
    with visited(chromium, "await fetch('/secret')") as (events, page):
        assert events.wrong == []
        events.signed_out = False
        page.evaluate("fetch('/secret')")
        assert events.wrong == ["GET /secret answered 401"]


def test_a_page_stays_loaded_once_it_is_entered(chromium: Browser) -> None:
    """A reload after the sign-in is a fault."""
    with visited(chromium, "") as (events, page):
        page.reload()
        page.evaluate("location.hash = 'elsewhere'")
        assert events.wrong == []
        events.signed_out = False
        page.reload()
        assert events.wrong == ["the page reloaded"]


def test_a_page_is_quiet_when_nothing_is_on_its_way(chromium: Browser) -> None:
    """A page is not quiet after a recent request or with a pending one."""
    with visited(chromium, "") as (events, page):
        page.wait_for_timeout(250)
        assert events.quiet(0.2)
        page.evaluate("fetch('/right').then((answer) => answer.text())")
        assert not events.quiet(0.2)
        page.wait_for_timeout(250)
        assert events.quiet(0.2)
        assert not events.quiet(60)
        events.pending += 1
        assert not events.quiet(0.2)


def test_nothing_is_reached_during_an_outage(chromium: Browser) -> None:
    """Requests that fail during an outage are no faults."""
    with visited(chromium, "") as (events, page):
        with events.outage():
            page.evaluate("fetch('http://127.0.0.1:1').catch(() => 0)")
        assert [wrong for wrong in events.wrong if "no answer" in wrong] == []


def test_a_token_that_can_be_read_is_wrong(chromium: Browser) -> None:
    """A visible token is a fault, and prevents the screenshot."""
    with visited(chromium, "") as (events, _):
        assert not events.shows_secret("nothing")
        assert events.wrong == []
        assert events.shows_secret(f"your token is {TOKEN}")
        assert events.wrong == ["the admin token can be read on the page"]
