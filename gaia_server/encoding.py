"""The server's encoding of JSON and times."""

import json
from datetime import UTC, datetime
from typing import Any


def encode(content: Any) -> str:
    """Return `content` as compact JSON."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False, default=_plain)


def timestamp(moment: datetime) -> str:
    """Return `moment` as RFC 3339 UTC with milliseconds: `2026-02-26T10:00:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return timestamp(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
