"""Renders requests as HTTP/1.1 bytes. Pure."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from gaia_checks.contract import USER_AGENT


def common_headers(base_url: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of every request to a server; those given win, whatever their case."""
    common = {
        "Host": urlsplit(base_url).netloc,
        "User-Agent": USER_AGENT,
        "Accept": "application/json, */*;q=0.5",
        "Accept-Encoding": "identity",
    }
    return merged(common, headers)


def merged(headers: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Return both; one header of `more` replaces that of the same name, in any case."""
    replaced = {name.lower() for name in more}
    return {**{name: value for name, value in headers.items() if name.lower() not in replaced}, **more}


def prefix(base_url: str) -> str:
    """Return the path prefix of a base URL: `/base` for `http://host/base/`."""
    return urlsplit(base_url).path.rstrip("/")


def render(method: str, target: str, headers: Mapping[str, str], body: Mapping[str, Any] | None = None) -> bytes:
    """Return a complete request; `target` is a path with its query, `body` is sent as JSON."""
    content = b"" if body is None else json.dumps(body).encode()
    entity = {"Content-Type": "application/json", "Content-Length": str(len(content))} if body is not None else {}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**headers, **entity}.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + content
