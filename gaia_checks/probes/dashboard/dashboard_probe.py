"""Whether the dashboard can be used: in a real browser, signed in as a person, on the live server.

The browser reaches the server by a line that is cut to see whether the page comes back; the server itself is not
touched. What is made in it is one rule of this run: what is refused because of it shows on the page, and goes with it.
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
from gaia_checks.probes.dashboard.page_events import Behaviour
from gaia_checks.probes.dashboard.page_object import Page
from gaia_checks.probes.dashboard.probe_rule import own_rule
from gaia_checks.probes.dashboard.walkthrough import Visit
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
    """Use all six tabs, see a refusal appear, cut the connection and see it come back; save pictures of it.

    Raises Inconclusive, TargetUnreachable or MissingDependency when that cannot be looked at.
    """
    try:
        with client(target) as http, own_rule(target, http, "dashboard") as rule:
            version, token = _version(target, http), _token(target)
            with _opened(target, ready_within_s) as (page, behaviour, line):
                visit = Visit(target, token, version, page, behaviour, line, rule, pictures)
                return list(visit.all(live_within_s, reconnect_within_s))
    except Error as error:
        raise Inconclusive(f"the browser cannot look: {browser.first_line(error)}") from None
    except httpx.HTTPError as error:
        raise TargetUnreachable(f"{target.base_url}: {error or type(error).__name__}; is it running?") from error


def _version(target: Target, http: httpx.Client) -> str:
    """Return what the server says it is. Raises Inconclusive when it is not well."""
    answer = http.get(health_body.PATH)
    if answer.status_code != 200:
        raise Inconclusive(
            f"{target.base_url}: GET {health_body.PATH} answered {answer.status_code}; "
            "what its dashboard shows meanwhile decides nothing"
        )
    return str(health_body.read(answer).get("version", ""))


def _token(target: Target) -> str | None:
    """Return what the page has to ask for; None when the server asks for nothing."""
    with client(replace(target, admin_token=None)) as nobody:
        asked = nobody.get(CONFIG, params={"limit": 1}).status_code == 401
    if asked and not target.admin_token:
        raise Inconclusive(f"{target.base_url}: asks for the admin token, and the gate has none: set ADMIN_TOKEN")
    return target.admin_token if asked else None


@contextlib.contextmanager
def _opened(target: Target, ready_within_s: float) -> Iterator[tuple[Page, Behaviour, tcp_proxy.Line]]:
    """Have an empty page of a browser that reaches the target alone, by a line that can be cut."""
    url = urlsplit(target.base_url)
    secure = url.scheme == "https"
    host, port = url.hostname or "", url.port or (443 if secure else 80)
    trust = browser.believing(tls_pin.verified_key(host, port)) if secure else ()
    with (
        tcp_proxy.line(host, port) as line,
        browser.launched(*browser.reaching(host, port, line.port), *trust) as chromium,
    ):
        opened = chromium.new_page(
            viewport={"width": 1280, "height": 800},
            extra_http_headers={"X-API-Key": key(target)},
            reduced_motion="reduce",
        )
        behaviour = Behaviour(target.base_url, target.admin_token)
        behaviour.watch(opened)
        yield Page(opened, ready_within_s), behaviour, line
