"""Whether the dashboard works: in a real browser, signed in as a person, on the live server.

The browser reaches the server through a TCP proxy, which drops the connection to test whether the page reconnects;
the server itself is not touched. The probe creates one temporary rule: its refusals show on the page, and are deleted
with it.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from playwright.sync_api import Error

from gaia_checks.errors import Inconclusive, TargetUnreachable
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.dashboard import browser, tcp_proxy, tls_pin
from gaia_checks.probes.dashboard.page_events import PageEvents
from gaia_checks.probes.dashboard.page_object import Page
from gaia_checks.probes.dashboard.probe_rule import own_rule
from gaia_checks.probes.dashboard.walkthrough import Walkthrough
from gaia_checks.target import health_body
from gaia_checks.target.client import client, key
from gaia_checks.target.responses import CONFIG


def probe(
    target: Target,
    *,
    ready_within_s: float,
    live_within_s: float,
    reconnect_within_s: float,
    pictures: Path | None = None,
) -> list[Measurement]:
    """Use all six tabs, wait for a refusal to appear, cut the connection and wait for the reconnect; save screenshots.

    Raises Inconclusive, TargetUnreachable or MissingDependency when the dashboard cannot be observed.
    """
    try:
        with client(target) as http, own_rule(target, http, "dashboard") as rule:
            version, token = _version(target, http), _token(target)
            with _opened(target, ready_within_s) as (page, events, line):
                visit = Walkthrough(target, token, version, page, events, line, rule, pictures)
                return list(visit.all(live_within_s, reconnect_within_s))
    except Error as error:
        raise Inconclusive(f"the browser failed: {browser.first_line(error)}") from None
    except httpx.HTTPError as error:
        raise TargetUnreachable(f"{target.base_url}: {error or type(error).__name__}; is it running?") from error


def _version(target: Target, http: httpx.Client) -> str:
    """Return the server's version. Raises Inconclusive when it is unhealthy."""
    answer = http.get(health_body.PATH)
    if answer.status_code != 200:
        raise Inconclusive(
            f"{target.base_url}: GET {health_body.PATH} answered {answer.status_code}; "
            "an unhealthy server's dashboard is not judged"
        )
    return str(health_body.read(answer).get("version", ""))


def _token(target: Target) -> str | None:
    """Return the token for the sign-in; None when the server requires none."""
    with client(replace(target, admin_token=None)) as anonymous:
        required = anonymous.get(CONFIG, params={"limit": 1}).status_code == 401
    if required and not target.admin_token:
        raise Inconclusive(f"{target.base_url}: requires the admin token, and the gate has none; set ADMIN_TOKEN")
    return target.admin_token if required else None


@contextlib.contextmanager
def _opened(target: Target, ready_within_s: float) -> Iterator[tuple[Page, PageEvents, tcp_proxy.TcpProxy]]:
    """Yield an empty page of a browser that reaches only the target, through a proxy that can drop connections."""
    url = urlsplit(target.base_url)
    secure = url.scheme == "https"
    host, port = url.hostname or "", url.port or (443 if secure else 80)
    trust = browser.trusting(tls_pin.verified_key(host, port)) if secure else ()
    with (
        tcp_proxy.line(host, port) as line,
        browser.launched(*browser.reaching(host, port, line.port), *trust) as chromium,
    ):
        opened = chromium.new_page(
            viewport={"width": 1280, "height": 800},
            user_agent=browser.ordinary(chromium.version),
            extra_http_headers={"X-API-Key": key(target)},
            reduced_motion="reduce",
        )
        events = PageEvents(target.base_url, target.admin_token)
        events.watch(opened)
        yield Page(opened, ready_within_s), events, line
