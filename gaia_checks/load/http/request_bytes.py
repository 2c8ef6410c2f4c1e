"""A request as the bytes of HTTP/1.1. Pure."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit


def common_headers(base_url: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Return what every request to a server carries."""
    return {"Host": urlsplit(base_url).netloc, "Accept": "application/json", **headers}


def prefix(base_url: str) -> str:
    """Return what every path at a server begins with: `/base` for `http://host/base/`."""
    return urlsplit(base_url).path.rstrip("/")


def render(method: str, target: str, headers: Mapping[str, str], body: Mapping[str, Any] | None = None) -> bytes:
    """Return a whole request; `target` is a path with its query, `body` goes as JSON."""
    content = b"" if body is None else json.dumps(body).encode()
    entity = {"Content-Type": "application/json", "Content-Length": str(len(content))} if body is not None else {}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**headers, **entity}.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + content
