"""Forwarding headers as proxies write them: `X-Forwarded-*` and `Forwarded` (RFC 7239). Pure.

They are claims: only what a trusted proxy sends counts, and what stands left of its own entry is its client's claim.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from gaia_server.limiting import address
from gaia_server.limiting.address import Address
from gaia_server.settings import Network

NAMES = frozenset((b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"))
MAX_ENTRIES = 32
"""How many entries of a chain are read, from its end: no request costs more."""

Headers = Mapping[str, str]

_NODE = re.compile(r"(?:\[(?P<inner>[^\]]*)\]|(?P<bare>[0-9.]+))(?::(?:[0-9]{1,5}|_[\w.-]+))?", re.ASCII)
_PAIR = r"([\w!#$%&'*+.^`|~-]+)=(\"(?:[^\"\\]|\\.)*\"|[^\s;,=\"\\]+)"
_ELEMENT = re.compile(rf"{_PAIR}(?:\s*;\s*{_PAIR})*;?", re.ASCII)


def claims(headers: Iterable[tuple[bytes, bytes]], names: Collection[bytes] = NAMES) -> dict[str, str]:
    """Return the headers with one of `names`, by lower-case name; lines of one name are joined (RFC 9110)."""
    found: dict[str, str] = {}
    for raw, value in headers:
        if raw in names:
            name, text = raw.decode(), value.decode("latin-1")
            found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def client(headers: Headers, trusted_proxies: Sequence[Network]) -> Address | None:
    """Return the client that trusted proxies forward for, None if they name none, or two.

    A proxy adds to one of the two headers, and its client may have invented the other.
    """
    chains = (_forwarded_for(headers), _forwarded(headers, "for"))
    found = {client for chain in chains if (client := _last_untrusted(chain, trusted_proxies))}
    return found.pop() if len(found) == 1 else None


def host(headers: Headers) -> str | None:
    """Return the host that the client addressed: the first one of the chain."""
    return _first(headers, "x-forwarded-host", "host")


def scheme(headers: Headers) -> str | None:
    """Return the scheme that the client used, in lower case: the first one of the chain."""
    found = _first(headers, "x-forwarded-proto", "proto")
    return found.lower() if found else None


def node(text: str) -> Address | None:
    """Return the address of a node: bare, in brackets, or with a port; None for `unknown`, `_hidden`, or nonsense."""
    match = _NODE.fullmatch(text)
    return address.parse(match["inner"] or match["bare"] if match else text)


def is_trusted(peer: Address | None, trusted_proxies: Sequence[Network]) -> bool:
    """Whether `peer` is a trusted proxy."""
    return peer is not None and any(peer in network for network in trusted_proxies)


def _last_untrusted(chain: Iterable[str], trusted_proxies: Sequence[Network]) -> Address | None:
    """Return the last address that is no trusted proxy; earlier ones are unverified claims."""
    for text in reversed(list(chain)):
        found = node(text)
        if found is None or not is_trusted(found, trusted_proxies):
            return found
    return None


def _forwarded_for(headers: Headers) -> list[str]:
    return _list(headers["x-forwarded-for"]) if "x-forwarded-for" in headers else []


def _forwarded(headers: Headers, parameter: str) -> list[str]:
    """Return one parameter of each element of Forwarded, "" where it is missing or the element is invalid.

    Elements are split at every comma: an unclosed quotation mark of the client does not hide the proxy's element.
    """
    elements = _list(headers["forwarded"]) if "forwarded" in headers else []
    return [_parameters(element).get(parameter, "") for element in elements]


def _parameters(element: str) -> dict[str, str]:
    if not _ELEMENT.fullmatch(element):
        return {}
    pairs = [(name.lower(), value) for name, value in re.findall(_PAIR, element)]
    found = {name: re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] == '"' else value for name, value in pairs}
    return found if len(found) == len(pairs) else {}


def _first(headers: Headers, name: str, parameter: str) -> str | None:
    found = _list(headers[name]) if name in headers else _forwarded(headers, parameter)
    return next(filter(None, found), None)


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.rsplit(",", MAX_ENTRIES)]
