"""The limiter's core: who asks, and what the answer's headers say. Pure: no SQL, no clock, no socket.

Whether a request is admitted is decided by the database, in `checks.Checks.decide`.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import NamedTuple

from gaia_server import address
from gaia_server.address import Address
from gaia_server.settings import Network

MAX_NAME = 200
"""No API key, user or session is longer than a rule's scope_value may be."""

_CLAIMS = frozenset((b"x-api-key", b"x-user-id", b"x-session-id", b"x-forwarded-for"))

_WINDOW_S = {
    "requests_per_second": 1,
    "requests_per_minute": 60,
    "requests_per_hour": 3600,
    "daily_quota": 86_400,
    "weekly_quota": 604_800,
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Whose request it is: one scope, one value."""

    scope: str
    value: str

    @property
    def key(self) -> str:
        """What the limiter counts by: `ip:192.0.2.7`."""
        return f"{self.scope}:{self.value}"


class Standing(NamedTuple):
    """Where one rule stands for one key after a check. A tuple: every request makes as many as rules apply."""

    rule_id: int
    rule_name: str
    scope: str
    limit_type: str
    limit_value: int
    key: str
    admitted: bool
    remaining: int
    reset_us: int  # after checked_at; refused: when it would be admitted; else: when `remaining` grows next
    checked_at: datetime  # the database's clock

    @property
    def reset_s(self) -> int:
        """Whole seconds until then, rounded up."""
        return max(-(-self.reset_us // 1_000_000), 0)

    @property
    def reset_epoch(self) -> int:
        """Seconds since the epoch until then, rounded up."""
        return math.ceil(self.checked_at.timestamp() + self.reset_us / 1_000_000)

    @property
    def window_s(self) -> int:
        """The length of the window, or of the running period, in seconds."""
        if self.limit_type in _WINDOW_S:
            return _WINDOW_S[self.limit_type]
        return month_s(self.checked_at)


@dataclass(frozen=True)
class Decision:
    """The answer to one check: where every rule that applies stands. Without a rule there is no limit."""

    standings: Sequence[Standing]

    @cached_property
    def admitted(self) -> bool:
        """Whether every rule admits the request."""
        return all(standing.admitted for standing in self.standings)

    @property
    def refusals(self) -> list[Standing]:
        """The rules that refuse it."""
        return [standing for standing in self.standings if not standing.admitted]

    @property
    def tightest(self) -> Standing:
        """The rule that decides when to come back: the one that refuses longest, else the one with least left."""
        return min(self.standings, key=lambda standing: (standing.admitted, standing.remaining, -standing.reset_s))


def month_s(moment: datetime) -> int:
    """Return the length in seconds of the calendar month (UTC) that `moment` lies in."""
    start = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (start + timedelta(days=32)).replace(day=1)
    return int((following - start).total_seconds())


def claims(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return what headers say of who asks, by lower-case name; lines of one name are joined (RFC 9110)."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name in _CLAIMS:
            said, text = name.decode("latin-1"), value.decode("latin-1")
            found[said] = f"{found[said]}, {text}" if said in found else text
    return found


def principal(
    headers: Mapping[str, str],
    peer: str | None,
    *,
    named_keys: Collection[str],
    trusted_proxies: Sequence[Network],
    is_admin: bool,
) -> Principal:
    """Return whose request this is.

    `headers` are its `claims`; `named_keys` are the API keys that rules name; `peer` is the connection's
    address (None for a socket without addresses). Names that anybody could invent are believed only from a
    trusted proxy or with the admin token, so nobody escapes a limit by inventing one.
    """
    connected = address.parse(peer)
    from_proxy = _is_trusted(connected, trusted_proxies)
    api_key = headers.get("x-api-key", "")
    if api_key in named_keys:
        return Principal("api_key", api_key)
    if from_proxy or is_admin:
        for scope, header in (("user", "x-user-id"), ("session", "x-session-id")):
            if _is_name(name := headers.get(header, "")):
                return Principal(scope, name)
    forwarded = headers.get("x-forwarded-for", "") if from_proxy else ""
    client = _client_address(forwarded, trusted_proxies) or connected
    return Principal("ip", address.counted(client) if client else "unknown")


def headers(decision: Decision) -> dict[str, str]:
    """Return the headers of a limited answer: draft-ietf-httpapi-ratelimit-headers-10, and the X- ones.

    `X-RateLimit-Reset` is in seconds since the epoch, on the database's clock.
    """
    if not decision.standings:
        return {}
    tightest = decision.tightest
    found = {
        "RateLimit-Policy": ", ".join(
            [f'"{s.rule_name}";q={s.limit_value};w={s.window_s}' for s in decision.standings]
        ),
        "RateLimit": ", ".join([f'"{s.rule_name}";r={s.remaining};t={s.reset_s}' for s in decision.standings]),
        "X-RateLimit-Limit": str(tightest.limit_value),
        "X-RateLimit-Remaining": str(tightest.remaining),
        "X-RateLimit-Reset": str(tightest.reset_epoch),
    }
    if not decision.admitted:
        found["Retry-After"] = str(max(tightest.reset_s, 1))
    return found


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_NAME and all("!" <= character <= "~" for character in text)


def _client_address(forwarded: str, trusted_proxies: Sequence[Network]) -> Address | None:
    """Return the last address of X-Forwarded-For that is no trusted proxy: those before it are only claimed."""
    for part in reversed(forwarded.split(",")):
        found = address.parse(part.strip())
        if found is None or not _is_trusted(found, trusted_proxies):
            return found
    return None


def _is_trusted(peer: Address | None, trusted_proxies: Sequence[Network]) -> bool:
    return peer is not None and any(peer in network for network in trusted_proxies)
