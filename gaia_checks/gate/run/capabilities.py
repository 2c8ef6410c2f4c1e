"""What a target and this machine have of what criteria need: found out before the first look."""

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect

from gaia_checks.errors import AdapterError, MissingDependency
from gaia_checks.model import CAPABILITIES, Criterion, Target
from gaia_checks.probes.dashboard import browser
from gaia_checks.target import health_body, ws_messages
from gaia_checks.target.client import client, websocket_headers, websocket_url
from gaia_checks.target.responses import CONFIG, METRICS, QUOTAS
from gaia_checks.target.unobservable import DATABASE, HERE, LOG, cannot_observe

_WITHIN_S = 3.0
_FIRST_MESSAGE_S = 0.5  # a refusal follows the handshake at once


@dataclass(frozen=True, slots=True)
class Capability:
    """One of model.CAPABILITIES."""

    name: str
    present: bool | None  # None: only a request would show it
    why: str = ""  # what is missing, and the setting that would change it


def observe(target: Target) -> list[Capability]:
    """Find out everything; sends one request for each route, and one WebSocket handshake."""
    looks: dict[str, Callable[[], str]] = {
        "health": lambda: _route(target, health_body.PATH),
        "admin.rules": lambda: target.no_rules or _route(target, CONFIG),
        "admin.usage": lambda: _route(target, f"{QUOTAS}/usage"),
        "metrics": lambda: _route(target, METRICS),
        "websocket": lambda: _websocket(target),
    }
    with ThreadPoolExecutor(len(looks)) as pool:
        found = dict(zip(looks, pool.map(lambda look: look(), looks.values()), strict=True))
    return [
        Capability(each.name, not found[each.name], found[each.name]) if each.name in found else each
        for each in without_requests(target)
    ]


def without_requests(target: Target) -> list[Capability]:
    """Return what is known without sending anything."""
    known = {
        "database": target.database_url is None and cannot_observe(target, "the database", DATABASE),
        "process": target.process is None and cannot_observe(target, "the server's process", HERE),
        "log": target.log is None and cannot_observe(target, "the log", LOG, HERE),
        "artifact": target.release is None and cannot_observe(target, "which release runs", HERE),
        "browser": _no_browser(),
    }
    return [
        Capability(name, not known[name], known[name] or "") if name in known else Capability(name, None)
        for name in CAPABILITIES
    ]


def silence(target: Target, found: Sequence[Capability]) -> str | None:
    """Return that a server accepts connections and answers nothing, None when it answers anything. Pure.

    `target.no_rules` says what a request of 10 s got before; the others had less time, all at once.
    """
    why = [target.no_rules or "", *(each.why for each in found if each.name in ("health", "admin.usage", "metrics"))]
    if not all(httpx.ReadTimeout.__name__ in each for each in why):
        return None
    return f"{target.base_url} accepts connections and answers nothing: is this the server's port, and http or https?"


def missing(criterion: Criterion, capabilities: Sequence[Capability]) -> list[Capability]:
    """Return what a criterion needs and is not there. Pure."""
    by_name = {each.name: each for each in capabilities}
    lacking = []
    for need in criterion.needs:
        choices = [by_name[name] for name in need.split(" or ")]
        if all(each.present is False for each in choices):
            lacking += choices
    return lacking


def _route(target: Target, path: str) -> str:
    """Return why a route cannot be used; empty when it answers."""
    try:
        with client(target, keyed=False) as http:
            status = http.get(path, timeout=_WITHIN_S).status_code
    except httpx.TransportError as error:
        return f"GET {path}: no answer: {type(error).__name__}"
    except AdapterError as error:
        return str(error)
    if status in (401, 403):
        return f"GET {path} answered {status}: export the server's ADMIN_TOKEN"
    elsewhere = f"; if it is elsewhere, map it in [contract.paths] of {target.environment}.toml"
    return "" if status < 400 else f"GET {path} answered {status}{elsewhere if status == 404 else ''}"


def _websocket(target: Target) -> str:
    """Return why the WebSocket cannot be used; empty when it connects and stays open."""
    path = ws_messages.PATH
    try:
        with connect(
            websocket_url(target, path), additional_headers=websocket_headers(target), open_timeout=_WITHIN_S,
            close_timeout=_WITHIN_S, proxy=None,
        ) as socket, contextlib.suppress(TimeoutError):  # fmt: skip
            socket.recv(timeout=_FIRST_MESSAGE_S)
    except ConnectionClosed as closed:
        return f"{path}: closed at once: {closed}"
    except AdapterError as error:
        return str(error)
    except (WebSocketException, OSError, EOFError) as error:
        return f"{path}: {error or type(error).__name__}; if it is elsewhere, map it in [contract.paths]"
    return ""


def _no_browser() -> str:
    try:
        browser.executable()
    except MissingDependency as error:
        return str(error)
    return ""
