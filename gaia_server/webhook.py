"""Notifications as JSON by HTTP POST. The text of a failure names no URL: it may contain a secret."""

import base64
import http.client
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from gaia_server import __version__
from gaia_server.encoding import encode

TIMEOUT_S = 3.0
"""How long connecting, and each read and write, may take: a stopping server waits for it."""

_TYPES = {"critical": "failure", "warning": "warning", "info": "info"}


def message(alert: Mapping[str, Any]) -> bytes:
    """Return the body for an alert's state: `title`, `body` and `type` as the Apprise API takes them, and the alert."""
    firing = alert["state"] == "firing"
    title = f"{alert['severity']}: {alert['name']}" if firing else f"resolved: {alert['name']}"
    body = f"{alert['says']} (value {alert['value']}, threshold {alert['threshold']})"
    kind = _TYPES.get(alert["severity"], "warning") if firing else "success"
    return encode({"title": title, "body": body, "type": kind, "alert": dict(alert)}).encode()


def post(url: str, body: bytes) -> str | None:
    """Send `body` to an http or https URL; return why it was not accepted, None if it was. Blocks; never raises."""
    parts = urlsplit(url)
    headers = {"Content-Type": "application/json", "User-Agent": f"gaia_server/{__version__}"}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection = connect(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        try:
            connection.request("POST", target, body, headers)
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"not delivered: {type(error).__name__}"
    return None if 200 <= status < 300 else f"refused with status {status}"
