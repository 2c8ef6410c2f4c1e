"""The principal of a request: which API key, user, session or address it counts for. Pure: no SQL, no clock, no socket.

The database decides whether a request is admitted, in `decide.LimiterConnection.decide`.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gaia_server.limiting import address, forwarding
from gaia_server.settings import Network

MAX_NAME = 200
"""The longest name of an API key, user or session, as in a rule's scope_value."""

_NAME = re.compile(rf"[!-~]{{1,{MAX_NAME}}}")
_CLAIMS = frozenset((b"x-api-key", b"x-user-id", b"x-session-id", b"x-forwarded-for", b"forwarded"))


@dataclass(frozen=True, slots=True)
class Principal:
    """The principal of a request: one scope, one value."""

    scope: str
    value: str

    @property
    def key(self) -> str:
        """The key that the limiter counts by: `ip:192.0.2.7`."""
        return f"{self.scope}:{self.value}"


def claims(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers that identify the client, by lower-case name."""
    return forwarding.claims(headers, _CLAIMS)


def principal(
    headers: Mapping[str, str],
    peer: str | None,
    *,
    named_keys: Collection[str],
    trusted_proxies: Sequence[Network],
    is_admin: Callable[[], bool],
) -> Principal:
    """Return the principal of a request.

    `headers` are its `claims`; `named_keys` are the API keys that rules name; `peer` is the connection's
    address (None for a socket without addresses). User and session names are accepted only from a trusted
    proxy or with the admin token, so no client escapes a limit by inventing a name. `is_admin` is called only
    where the answer matters, because it compares the token.
    """
    connected = address.parse(peer)
    from_proxy = forwarding.is_trusted(connected, trusted_proxies)
    api_key = headers.get("x-api-key", "")
    if api_key in named_keys:
        return Principal("api_key", api_key)
    for scope, header in (("user", "x-user-id"), ("session", "x-session-id")):
        if _is_name(name := headers.get(header, "")) and (from_proxy or is_admin()):
            return Principal(scope, name)
    client = (forwarding.client(headers, trusted_proxies) if from_proxy else None) or connected
    return Principal("ip", address.counted(client) if client else "unknown")


def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None
